"""No circle of imports anywhere, imports within functions included: those hide a circle and do not remove it."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("common", "data", "evaluation", "inference", "model", "tools", "training")


def python_files(root: Path) -> dict[str, Path]:
    """The modules of the packages and the programs beside them by their dotted names."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))] + sorted(
        root.glob("*.py")
    )
    return {module_name(path.relative_to(root)): path for path in paths}


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(root: Path) -> dict[str, set[str]]:
    """For each module those that it imports, wherever in the file it does."""
    files = python_files(root)
    return {name: imported(name, path, files) - {name} for name, path in files.items()}


def imported(name: str, path: Path, files: dict[str, Path]) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            # What is imported from a package may be a module in it, or a name that its own file defines.
            inner = {f"{source}.{alias.name}" for alias in node.names}
            found |= {module if module in files else source for module in inner}
    return found & files.keys()


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of the graph, beginning and ending with one module; nothing where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = import_graph(ROOT)
    # The search sees what it is to see: an import at the top of a file and one within a function.
    assert "model.reconstructor" in graph["training.module"]
    assert "model.render.pytorch.rasterizer" in graph["model.render.backends"]
    assert circle(graph) == []


@pytest.mark.parametrize(
    "second",
    [
        "import model.first\n",
        "from model.first import something\n",
        "from model import first\n",
        "def late():\n    from model.first import something\n",
        "from .first import something\n",
        "from . import first\n",
    ],
)
def test_a_circle_is_found(tmp_path: Path, second: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").touch()
    (tmp_path / "model" / "first.py").write_text("from model.second import anything\n")
    (tmp_path / "model" / "second.py").write_text(second)
    assert {"model.first", "model.second"} <= set(circle(import_graph(tmp_path)))
    (tmp_path / "model" / "second.py").write_text("import torch\n")
    assert circle(import_graph(tmp_path)) == []
