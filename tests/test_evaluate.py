"""evaluate.py as its users start it."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.io import savemat

import evaluate
import infer
from model.refine.mitsuba.variant import MitsubaUnavailableError
from tests.evaluation.small_scans import write_scans
from tests.small_checkpoint import toy_checkpoint
from tests.small_world import ibug68_layout


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def test_the_table_of_a_folder_is_printed(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "image1.jpg")
    landmarks = np.column_stack((ibug68_layout() * (45.0, -60.0) + (223.0, 120.0), np.zeros(68)))
    savemat(tmp_path / "image1.mat", {"pt3d_68": landmarks.T, "Pose_Para": np.zeros((1, 7))})
    assert evaluate.main(["aflw2000", "--data", str(tmp_path), "--checkpoint", str(checkpoint)]) == 0
    text = capsys.readouterr().out
    assert "missed 0 of 1 faces" in text
    assert "true boxes" in text


@pytest.mark.slow
def test_scans_are_measured_by_the_model_and_from_a_folder(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall = np.full((100, 100, 3), 90, np.uint8)
    data = write_scans(tmp_path / "scans", {"toy_0": skimage.data.astronaut(), "toy_40": wall})
    options = ["scans", "--data", str(data), "--checkpoint", str(checkpoint)]
    now = tmp_path / "now"
    assert evaluate.main([*options, "--write_now", str(now)]) == 0
    by_model = capsys.readouterr().out
    assert "missed 1 of 2 pictures: toy_40" in by_model
    assert sorted(path.name for path in now.iterdir()) == ["toy_0.npy", "toy_0.obj"]
    results = tmp_path / "results"
    assert evaluate.main([*options, "--predictions", str(results)]) == 2
    assert "face.npz: missing" in capsys.readouterr().err
    wanted = ["--images", str(data / "photos"), "--output", str(results), "--formats", "npz"]
    assert infer.main([*wanted, "--checkpoint", str(checkpoint), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert evaluate.main([*options, "--predictions", str(results)]) == 0
    assert capsys.readouterr().out == by_model


@pytest.mark.parametrize("command", ["aflw2000", "photographs", "scans"])
def test_missing_data_is_one_line_and_exit_code_2(
    tmp_path: Path, checkpoint: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [command, "--data", str(tmp_path / "nowhere"), "--checkpoint", str(checkpoint)]
    assert evaluate.main(arguments) == 2
    text = capsys.readouterr().err
    assert "nowhere" in text
    assert text.count("\n") == 1


def test_a_missing_checkpoint_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    savemat(tmp_path / "image1.mat", {"pt3d_68": np.random.default_rng(0).random((3, 68)), "Pose_Para": np.zeros(7)})
    (tmp_path / "image1.jpg").write_bytes(b"not opened")
    assert evaluate.main(["aflw2000", "--data", str(tmp_path), "--checkpoint", str(tmp_path / "none")]) == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_a_wrong_option_ends_with_exit_code_2() -> None:
    with pytest.raises(SystemExit) as ended:
        evaluate.main(["aflw2000", "--colour", "red"])
    assert ended.value.code == 2


def test_more_faces_than_there_are_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["inverse-rendering", "--count", "9"]) == 2
    assert "1 to 8 faces" in capsys.readouterr().err


def test_without_a_path_tracer_the_benchmark_says_how_to_get_it(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(*_: object) -> None:
        raise MitsubaUnavailableError("Mitsuba needs LLVM 19")

    monkeypatch.setattr("evaluation.inverse_rendering.faces.benchmark_faces", unavailable)
    arguments = ["inverse-rendering", "--checkpoint", str(checkpoint), "--folder", str(tmp_path)]
    assert evaluate.main(arguments) == 2
    assert capsys.readouterr().err == "evaluate.py: Mitsuba needs LLVM 19\n"
