"""The sources under the one name: what is rewritten, what is not, and that the whole repository can be."""

import ast
from pathlib import Path

import pytest

from likeness.one_name import DATA, PACKAGES, PROGRAMS, place, under_one_name

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from model import Reconstructor", "from likeness.model import Reconstructor"),
        ("from data.alignment import (\n    a,\n    b,\n)", "from likeness.data.alignment import (\n    a,\n    b,\n)"),
        ("import model.checkpoint as c", "import likeness.model.checkpoint as c"),
        ("import os, infer, sys", "import os, likeness.infer as infer, sys"),
        ("def f():\n    from train import start", "def f():\n    from likeness.train import start"),
        ("é = 'ü'; from common import atomic", "é = 'ü'; from likeness.common import atomic"),
        ("home = 'inference.head'", "home = 'likeness.inference.head'"),
        ("command = ['-m', \"data.prepare\"]", "command = ['-m', \"likeness.data.prepare\"]"),
        ('"""Ü:\n\n    python -m data.prepare X\n"""', '"""Ü:\n\n    python -m likeness.data.prepare X\n"""'),
        ('"""python infer.py --images x"""', '"""likeness infer --images x"""'),
    ],
)
def test_what_names_a_module_is_rewritten(before: str, after: str) -> None:
    assert under_one_name(before, "a.py") == after


@pytest.mark.parametrize(
    "source",
    [
        "from likeness.one_name import place",
        "import modeling, data_tools, commonmark",
        "from modeling.model import model",
        "from .model import x",
        "model = 3; data = model.data",
        "x['model'], x['data'], 'the model.', 'data.', 'model.x y', 'training.ß'",
        "f'data.prepare: {error}'",
        "'python tools/infer.pyc', 'python -m tools.draw_heads', 'infer.py: interrupted'",
        "# from model import x",
    ],
)
def test_what_does_not_is_left(source: str) -> None:
    assert under_one_name(source, "a.py") == source


@pytest.mark.parametrize(
    ("source", "advice"), [("import model.checkpoint", "from ... import"), ("from  model import x", "on one line")]
)
def test_what_cannot_be_rewritten_is_refused_by_place(source: str, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.py, line 2: .*{advice}"):
        under_one_name(f"\n{source}", "a.py")


@pytest.mark.slow
def test_all_that_is_installed_imports_itself_under_the_one_name_only(tmp_path: Path) -> None:
    target = tmp_path / "likeness"
    target.mkdir()
    (target / "left_by_an_earlier_build.py").write_text("")
    place(REPOSITORY, target)
    assert not (target / "left_by_an_earlier_build.py").exists()
    assert not list(target.rglob("__pycache__"))
    for folder in DATA:
        assert any((target / folder).iterdir())
    # Of the repository itself, so that a new folder that is not installed is missed here.
    moved = {
        path.stem for path in (*REPOSITORY.glob("*.py"), *(home.parent for home in REPOSITORY.glob("*/__init__.py")))
    }
    moved -= {"likeness"}
    assert moved > {*PACKAGES, *PROGRAMS}
    count = 0
    for path in target.rglob("*.py"):
        tree, count = ast.parse(path.read_text(encoding="utf-8")), count + 1
        named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
        named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert not moved & {name.split(".")[0] for name in named}, path
        ours = [name for name in named if name.split(".")[0] == "likeness"]
        for name in ours:
            base = tmp_path.joinpath(*name.split("."))
            assert base.is_dir() or base.with_suffix(".py").is_file(), f"{path}: {name}"
    assert count > 200
