"""The package `likeness` and its command: light until it is used."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import likeness
from likeness.command import main

REPOSITORY = Path(__file__).resolve().parents[2]

RUN = ["--output", "runs/none", "--train.shards", "none", "--validation.shards", "none"]

LOADED = """
import sys
import likeness
assert "torch" not in sys.modules, "before it is used"
likeness.Likeness, likeness.Head, likeness.load_reconstructor
# Not wandb: timm imports it where it is installed.
trainers = {"lightning", "webdataset", "albumentations", "mitsuba", "training"} & set(sys.modules)
assert "torch" in sys.modules and not trainers, trainers
"""


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert likeness.__version__ == project["version"]


@pytest.mark.slow
def test_it_loads_torch_late_and_nothing_that_trains() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Heads'"):
        _ = likeness.Heads  # pyright: ignore[reportAttributeAccessIssue]


def test_the_command_tells_its_version_and_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"likeness {likeness.__version__}\n"
    assert main(["--help"]) == 0
    assert "likeness infer|train|evaluate|export|animate|relight|exaggerate|head" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["reconstruct"]])
def test_a_wrong_word_is_an_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: likeness" in captured.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["infer", "--images", "nowhere.jpg"], 2, "likeness infer: nowhere.jpg: no such file"),
        (["train", "--resume", *RUN], 1, "likeness train: runs/none/last.ckpt: nothing to resume"),
        (["evaluate", "aflw2000", "--data", "nowhere"], 2, "likeness evaluate: --data nowhere"),
        (["export", "--format", "pt2", "--output", "nowhere.onnx"], 2, "likeness export: --output nowhere.onnx"),
    ],
)
def test_each_program_has_its_word(
    words: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    assert said in capsys.readouterr().err


def test_a_program_without_its_packages_says_how_to_get_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'lightning'", name="lightning.pytorch")

    monkeypatch.setattr("likeness.command._program", missing)
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "likeness train needs the package lightning: make setup-train\n"
