"""How the folders of the repository come to lie under the one name `likeness`.

In the repository a file says `from model.checkpoint import ...`. Names such as `model` and `data` belong to the user
everywhere else, so there the same file is `likeness.model.checkpoint` and says `from likeness.model.checkpoint import
...`. `under_one_name` turns the one source into the other; `place` does so for the wheel (`setup.py`), `claim` while
modules are loaded (`hubconf.py`). It imports nothing of the repository: it is run before there is anything to import.
"""

import ast
import importlib
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

NAME = "likeness"
PACKAGES = ("common", "data", "evaluation", "inference", "model", "training")
PROGRAMS = ("evaluate", "infer", "train")
DATA = (
    "checkpoints/blazeface",
    "checkpoints/likeness-head",
    "checkpoints/likeness-mask",
    "checkpoints/likeness-s",
    "configs",
)
"""What the programs read by default; it lies as far from them as it does in the repository."""

_MOVED = {*PACKAGES, *PROGRAMS}
_STARTED = re.compile(rf"python -m (?=(?:{'|'.join(PACKAGES)})\.)|python (?=(?:{'|'.join(PROGRAMS)})\.py\b)")
"""In texts: how a module or a program of the repository is started."""

Edit = tuple[int, int, str]
"""Of an encoded source: from where, to where, what to put there."""


def under_one_name(source: str, where: str) -> str:
    """The source of a module as it is under the one name; every line stays where it is.

    Rewritten are the absolute imports of what is moved; strings that are the dotted name of a module
    (`"inference.head"`); and in texts `python -m data.prepare` and `python infer.py`, which are `python -m
    likeness.data.prepare` and `likeness infer` there.

    Args:
        source: The module as it is in the repository.
        where: What errors call it.

    Raises:
        ValueError: If a dotted module is imported without a name of its own: `import model.checkpoint` binds `model`.
    """
    content = source.encode()
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source, where)
    # Parts of f-strings have no places of their own before Python 3.12.
    formatted = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    edits: list[Edit] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _moves(node.module or ""):
            start = starts[node.lineno - 1] + node.col_offset + len("from ")
            if not content[start:].startswith(f"{node.module} ".encode()):
                raise ValueError(f"{where}, line {node.lineno}: expected `from {node.module} import` on one line")
            edits.append((start, start, f"{NAME}."))
        elif isinstance(node, ast.Import):
            edits += _plain_import(node, starts, where)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in formatted:
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            edits += _text(node.value, content[start:end], start)
    for start, end, text in sorted(edits, reverse=True):
        content = content[:start] + text.encode() + content[end:]
    return content.decode()


def _moves(module: str) -> bool:
    return module.split(".", 1)[0] in _MOVED


def _plain_import(node: ast.Import, starts: list[int], where: str) -> Iterator[Edit]:
    for alias in node.names:
        if not _moves(alias.name):
            continue
        start = starts[alias.lineno - 1] + alias.col_offset
        if alias.asname is not None:
            yield start, start, f"{NAME}."
        elif "." in alias.name:
            raise ValueError(f"{where}, line {node.lineno}: write `from ... import ...` instead of import {alias.name}")
        else:
            yield start, start + len(alias.name), f"{NAME}.{alias.name} as {alias.name}"


def _text(value: str, literal: bytes, start: int) -> Iterator[Edit]:
    """Edits of a string that begins at `start`."""
    if re.fullmatch(rf"(?:{'|'.join(PACKAGES)})(?:\.[a-z_][a-z0-9_]*)+", value):
        place = literal.find(value.encode())
        if place >= 0:
            yield start + place, start + place, f"{NAME}."
    # Only bytes of ASCII are looked for: places are the same in text and bytes of Latin-1.
    for match in _STARTED.finditer(literal.decode("latin-1")):
        if match[0] == "python ":
            program = literal[match.end() :].split(b".", 1)[0].decode()
            yield start + match.start(), start + match.end() + len(f"{program}.py"), f"{NAME} {program}"
        else:
            yield start + match.end(), start + match.end(), f"{NAME}."


def place(repository: Path, target: Path) -> None:
    """Write what is installed: the folder `likeness`, with all that it needs.

    Args:
        repository: The root of a clone.
        target: The folder; what lies there is removed.
    """
    shutil.rmtree(target, ignore_errors=True)
    sources = [(repository / NAME, target), *((repository / name, target / name) for name in PACKAGES)]
    for folder, to in sources:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _place_file(path, to / path.relative_to(folder))
    for program in PROGRAMS:
        _place_file(repository / f"{program}.py", target / f"{program}.py")
    for folder in DATA:
        shutil.copytree(repository / folder, target / folder)


def _place_file(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".py":
        to.write_text(under_one_name(path.read_text(encoding="utf-8"), str(path)), encoding="utf-8")
    else:
        shutil.copyfile(path, to)


def claim(repository: Path) -> None:
    """From now on `import likeness` loads the modules of a clone, wherever the user is, and no other name is taken.

    Args:
        repository: The root of the clone.

    Raises:
        ImportError: If another version is loaded already, or another clone is claimed.
    """
    loaded = sys.modules.get(NAME)
    if loaded is not None:
        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        version = getattr(loaded, "__version__", None)
        if project["version"] != version:
            raise ImportError(
                f"Likeness {version} is loaded already, from {getattr(loaded, '__file__', None)}: that of {repository} "
                "is another version; load it in a program of its own"
            )
        return
    claimed = next((_claimed_by(finder) for finder in sys.meta_path if _claimed_by(finder) is not None), None)
    if claimed is None:
        sys.meta_path.insert(0, _Finder(repository))
    elif claimed != repository:
        raise ImportError(f"{claimed} is to be loaded as `{NAME}` already; load {repository} in a program of its own")


def _claimed_by(finder: object) -> Path | None:
    """The clone that a finder of ours looks into. torch.hub reads this file anew each time: its class is not one."""
    return getattr(finder, "claimed_repository", None)


class _Finder(MetaPathFinder):
    """Finds `likeness` and what is under it in a clone.

    Scripts written for the first release say `from data.detector import ...` after they loaded the model. They still
    may: where the user has no module of that name, it leads to ours.
    """

    def __init__(self, repository: Path) -> None:
        self.claimed_repository = self._repository = repository

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """A spec for what is ours, None for everything else."""
        root, *parts = fullname.split(".")
        if root == NAME:
            return self._own(fullname, parts)
        if root not in PACKAGES:
            return None
        ours = sys.modules.get(root) is sys.modules.get(f"{NAME}.{root}", self) if parts else not self._others(root)
        return ModuleSpec(fullname, _Alias()) if ours else None

    def _own(self, fullname: str, parts: list[str]) -> ModuleSpec | None:
        moved = bool(parts) and parts[0] in _MOVED
        base = self._repository.joinpath(*parts) if moved else self._repository.joinpath(NAME, *parts)
        if (base / "__init__.py").is_file():
            loader = _Rewriting(fullname, str(base / "__init__.py"))
            return spec_from_file_location(fullname, loader=loader, submodule_search_locations=[str(base)])
        source = base.with_name(f"{base.name}.py")
        if not source.is_file():
            return None
        return spec_from_file_location(fullname, loader=_Rewriting(fullname, str(source)))

    def _others(self, name: str) -> bool:
        """Whether anybody else has a module of this name; the clone itself, on the path while it is loaded, has not."""
        for finder in sys.meta_path:
            spec = None if _claimed_by(finder) is not None else finder.find_spec(name, None)
            if spec is None:
                continue
            places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
            if not all(Path(place).is_relative_to(self._repository) for place in places):
                return True
        return False


class _Rewriting(SourceFileLoader):
    """Loads a module of the clone under the one name; nothing is cached, for the cache beside it is the clone's."""

    def get_code(self, fullname: str) -> CodeType:
        """The compiled module."""
        path = self.get_filename(fullname)
        source = under_one_name(self.get_data(path).decode(), path)
        return compile(source, path, "exec", dont_inherit=True)


class _Alias(Loader):
    """Gives a module of ours under its name in the repository."""

    def exec_module(self, module: ModuleType) -> None:
        """Let ours take the place of the empty module."""
        sys.modules[module.__name__] = importlib.import_module(f"{NAME}.{module.__name__}")
