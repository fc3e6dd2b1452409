"""The three sets of requirements: each is whole, and infer.py needs nothing beyond the first of them."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import skimage.data
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from tests.small_checkpoint import any_checkpoint

REPOSITORY = Path(__file__).resolve().parent.parent
SETS = ("run", "train", "develop")
"""Each takes in those before it."""

# Hides the modules that its arguments before `--` name, then runs infer.py with the arguments after it.
BLOCKED_INFER = """
import runpy, sys

mark = sys.argv.index("--")
hidden = set(sys.argv[1:mark])

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
sys.argv = ["infer.py", *sys.argv[mark + 1 :]]
runpy.run_path("infer.py", run_name="__main__")
"""


def pins(name: str) -> dict[str, Requirement]:
    """Packages that a file of requirements/ pins itself, those for other machines left out."""
    lines = (REPOSITORY / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    for requirement in found:
        assert [one.operator for one in requirement.specifier] == ["=="], f"{name}.txt: {requirement} is not exact"
    here = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): one for one in here}


def needed_by(names: Iterable[str], extra: str = "") -> set[tuple[str, str]]:
    """Packages, each with the package that asks for it, that installed ones need here, transitively."""
    todo, seen, edges = [(name, extra) for name in names], set(), set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in requires(name) or []:
            one = Requirement(text)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                edges.add((canonicalize_name(one.name), name))
                todo += [(canonicalize_name(one.name), each) for each in ("", *one.extras)]
    return edges


def modules_beyond_run() -> set[str]:
    """Top-level modules of packages that the sets beyond `run` bring."""
    run = pins("run")
    beyond = {name for each in SETS[1:] for name in pins(each)}
    homes = packages_distributions().items()
    return {
        module
        for module, names in homes
        if any(canonicalize_name(name) in beyond for name in names)
        and not any(canonicalize_name(name) in run for name in names)
    }


def test_every_package_is_pinned_once() -> None:
    named = [name for each in (*SETS, "cuda") for name in pins(each)]
    assert sorted(named) == sorted(set(named))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_each_set_pins_all_that_its_packages_need(name: str) -> None:
    own = {package for each in SETS[: SETS.index(name) + 1] for package in pins(each)}
    known = own | set(pins("cuda"))
    missing = {f"{package}, for {asker}" for package, asker in needed_by(own) if package not in known}
    assert not missing


def test_the_extras_of_the_package_are_the_sets() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def direct(texts: list[str]) -> set[str]:
        found: set[str] = set()
        for one in map(Requirement, texts):
            if canonicalize_name(one.name) == "likeness":
                found.update(*(direct(extras[each]) for each in one.extras))
            else:
                found.add(canonicalize_name(one.name))
        return found

    run, train, develop = (set(pins(name)) for name in SETS)
    assert direct(project["dependencies"]) <= run
    assert direct(extras["train"]) <= train
    assert direct(extras["develop"]) <= train | develop


def copy_of_the_image(folder: Path) -> Path:
    """What .dockerignore lets into the image, without the repository around it."""
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for pattern in (line[1:] for line in lines if line.startswith("!")):
        found = list(REPOSITORY.glob(pattern))
        assert found, f".dockerignore names {pattern}, which is not there"
        for source in found:
            target = folder / source.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
    return folder


@pytest.mark.slow
def test_the_image_makes_a_head_without_what_the_other_sets_bring(tmp_path: Path) -> None:
    refused = modules_beyond_run()
    assert {"lightning", "wandb", "webdataset", "albumentations", "mitsuba", "skimage", "pytest"} <= refused
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photo.png")
    checkpoint = any_checkpoint(tmp_path / "checkpoint")
    options = ["--images", tmp_path / "photo.png", "--output", tmp_path / "results", "--checkpoint", checkpoint]
    command = [sys.executable, "-c", BLOCKED_INFER, *sorted(refused), "--", *map(str, options), "--device", "cpu"]
    place = copy_of_the_image(tmp_path / "app")
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "photo.png" / "face0" / "mesh.glb").is_file()


@pytest.mark.slow
def test_the_refusal_is_felt_where_a_set_is_missing() -> None:
    command = [sys.executable, "-c", BLOCKED_INFER, "torch", "--", "--images", "docs/images"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr
