"""Make the API pages from the docstrings: one for each module, readable without a network connection.

    python -m tools.api_pages --output build/api    (make docs)

Half a minute. Exit code 1 if a module cannot be imported or pdoc warns of anything, such as a type that is not there.
"""

import inspect
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pdoc
import pdoc.render
from jsonargparse import auto_cli

PACKAGES = ("likeness", "model", "data", "inference", "training", "evaluation", "tools", "common")
LEFT_OUT = ("model.render.nvdiffrast_rasterizer", "tools.api_pages")
"""nvdiffrast has its own licence and is not installed; this one is only a command."""

_HARMLESS = "Cannot determine where "
"""A TypedDict does not know which keys it inherits, so pdoc says that it assumes they are its own, which is right."""


def make_pages(modules: Sequence[str], output: Path) -> list[str]:
    """Write the pages of packages, with all that is in them, and an index.

    Args:
        modules: Names of packages; `!name` leaves something out.
        output: A folder; made if missing.

    Returns:
        What pdoc warned of, none if all is well.

    Raises:
        RuntimeError: If a module cannot be imported.
    """
    pdoc.render.configure(docformat="google", search=True, show_source=True)
    for name in modules:
        if not name.startswith("!"):
            _load_late_names(name)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pdoc.pdoc(*modules, output_directory=output)
    # Other packages warn too while they are imported; that is not about our pages.
    own = Path(inspect.getfile(pdoc)).parent
    texts = [str(one.message) for one in told if own in Path(one.filename).parents]
    return [text for text in texts if not text.startswith(_HARMLESS)]


def _load_late_names(name: str) -> None:
    """Give a package the names that it loads only when they are asked for; pdoc does not ask."""
    package = import_module(name)
    for late in set(getattr(package, "__all__", ())) - set(vars(package)):
        setattr(package, late, getattr(package, late))


def main(output: Path) -> int:
    """Make the pages of the whole repository.

    Args:
        output: Folder for the pages; `index.html` leads to all.

    Returns:
        The exit code.
    """
    told = make_pages((*PACKAGES, *(f"!{name}" for name in LEFT_OUT)), output)
    for text in told:
        print(f"warning: {text}", file=sys.stderr)
    if told:
        print(f"{len(told)} warnings: the pages are not complete", file=sys.stderr)
        return 1
    print(f"open {output / 'index.html'} in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(auto_cli(main, as_positional=False))
