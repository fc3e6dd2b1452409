"""The GPU's check tried out on a CPU, so that it runs the first time there is a GPU."""

from pathlib import Path

import pytest
import torch
import yaml

from tests.small_run import make_place
from tools import gpu_check
from tools.bench_train import without_start
from training.config import Experiment

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "_STEPS_PER_ROUND", 1)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    place = make_place(tmp_path_factory.mktemp("gpu"))
    path = place / "tiny.yaml"
    settings = {
        **yaml.safe_load(path.read_text()),
        "output": str(place / "run"),
        "trainer": {"precision": "bf16-mixed"},
    }
    path.write_text(yaml.safe_dump({**settings, "loss": {**settings.get("loss", {}), "photometric": 1.0}}))
    return without_start(path)


@pytest.mark.slow
def test_training_is_measured_against_the_bare_backbone(experiment: Experiment) -> None:
    assert experiment.loss.renders
    lines = gpu_check.training_table(experiment, CPU, batch=2, rounds=1)
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["bare backbone", "training, torch"]
    assert all(float(line.split("|")[2]) > 0.0 for line in lines[2:])
    assert float(lines[2].split("|")[3]) == 1.0


@pytest.mark.slow
def test_drawing_is_measured_forward_and_back() -> None:
    row = gpu_check.drawing_table(CPU, size=32, batch=2, rounds=1)[2].split("|")
    assert row[1].strip() == "torch"
    assert min(float(row[2]), float(row[3])) > 0.0


@pytest.mark.slow
def test_parity_has_a_row_for_each_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "SIZES", ((40, 33),))
    monkeypatch.setattr(gpu_check, "POSES_DEGREES", ((30.0, 0.0, 0.0),))
    row = gpu_check.parity_table(CPU)[2].split("|")
    assert [cell.strip() for cell in row[1:4]] == ["torch", "40 x 33", "30"]
    # Away from edges all triangles are the same, and so are the gradients.
    assert float(row[5]) == 1.0
    assert float(row[8]) < 1e-4


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu_check.main([])
    assert "no CUDA device" in capsys.readouterr().err


def test_the_files_of_gpu_tests_are_there() -> None:
    root = Path(gpu_check.__file__).parents[1]
    assert all((root / name).is_file() for name in gpu_check.GPU_TESTS)
