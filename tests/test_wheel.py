"""What is installed: built, put into an empty environment, and used where `model` and `data` are the user's."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

import infer
from common.version import VERSION
from likeness.one_name import DATA, NAME, PACKAGES, PROGRAMS
from tests.own_names import USERS_OWN, own_folder, run_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="knows only where POSIX systems keep the commands of an environment"),
]

REPOSITORY = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the repository."""
    place = tmp_path_factory.mktemp("build")
    clone = place / "clone"
    unwanted = shutil.ignore_patterns("__pycache__")
    for folder in (NAME, *PACKAGES, *DATA):
        shutil.copytree(REPOSITORY / folder, clone / folder, ignore=unwanted)
    programs = [f"{name}.py" for name in PROGRAMS]
    for name in (*programs, "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copyfile(REPOSITORY / name, clone / name)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    subprocess.run([*PIP, "wheel", str(clone), *options], check=True, timeout=600)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the wheel and shares the packages that it depends on."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=False)
    python = root / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    shared = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (Path(found.stdout.strip()) / "shared.pth").write_text("\n".join(shared))
    pip = [*PIP[:3], "--python", str(python), *PIP[3:]]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=600)
    return root / "bin"


@pytest.fixture(scope="module")
def of_the_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face of the astronaut as the clone writes it."""
    place = tmp_path_factory.mktemp("clone")
    Image.fromarray(skimage.data.astronaut()).save(place / "a.png")
    assert infer.main(["--images", str(place / "a.png"), "--output", str(place / "out"), "--device", "cpu"]) == 0
    return place


def assert_same_files(folder: Path, expected: Path) -> None:
    names = {path.name for path in expected.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    assert {"face.npz", "mesh.glb", "texture.png"} <= names
    assert [name for name in sorted(names) if (folder / name).read_bytes() != (expected / name).read_bytes()] == []


def test_nothing_lies_beside_the_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"likeness", f"likeness-{VERSION}.dist-info"}
    assert {"likeness/py.typed", "likeness/configs/refine.yaml", "likeness/model/export/viewer/viewer.js"} <= {*names}
    assert not [name for name in names if "__pycache__" in name or name.startswith("likeness/tests")]


def test_the_command_writes_what_the_clone_writes(environment: Path, of_the_clone: Path, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own")
    words = ["infer", "--images", of_the_clone / "a.png", "--output", folder / "out", "--device", "cpu"]
    done = run_in(folder, environment / "likeness", *words)
    assert done.returncode == 0, done.stderr
    assert_same_files(folder / "out/a.png/face0", of_the_clone / "out/a.png/face0")


def test_the_import_gives_what_the_clone_writes(environment: Path, of_the_clone: Path, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own")
    script = f"""
{USERS_OWN}
import likeness
assert likeness.__version__ == {VERSION!r}
assert not likeness.__file__.startswith({str(REPOSITORY)!r}), likeness.__file__
for head in likeness.Likeness.load(device="cpu").reconstruct({str(of_the_clone / "a.png")!r}):
    head.save("saved")
{USERS_OWN}
"""
    (folder / "script.py").write_text(script)
    done = run_in(folder, environment / "python", "script.py")
    assert done.returncode == 0, done.stderr
    assert_same_files(folder / "saved", of_the_clone / "out/a.png/face0")


@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_the_other_commands_are_there(program: str, environment: Path, tmp_path: Path) -> None:
    done = run_in(own_folder(tmp_path / "own"), environment / "likeness", program, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: likeness {program}" in done.stdout


def test_a_program_of_the_clone_that_is_not_installed_is_no_command(environment: Path, tmp_path: Path) -> None:
    done = run_in(tmp_path, environment / "python", "-m", "likeness", "draw")
    assert done.returncode == 2
    assert "'draw' is no command" in done.stderr
