"""A quarter of an hour on a GPU machine, rehearsed on a CPU in seconds."""

import math
import time
from pathlib import Path

import pytest
import torch

from model import load_reconstructor
from model.checkpoint import save_checkpoint
from tests.small_run import make_place
from tests.small_world import toy_reconstructor
from tools import gpu_quarter as quarter
from tools.join_pieces import PIECE_BYTES, unpack_release
from tools.pack_for_gpu import pack_for_gpu
from training.config import Experiment
from training.module import TrainingModule


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run's folder, packed into `pack/`."""
    place = make_place(tmp_path_factory.mktemp("quarter"), train_shards=2)
    pack(place, place / "pack")
    return place


def pack(place: Path, output: Path, start: Path | None = None) -> None:
    (place / "shards").mkdir(exist_ok=True)
    for part in ("train", "val"):
        if not (place / "shards" / part).exists():
            (place / "shards" / part).symlink_to(place / part)
    pack_for_gpu(place / "shards", output, megabytes=3.0, start=start)


def command(place: Path, name: str, *more: str) -> list[str]:
    options = {
        "data": place / "pack",
        "output": place / name / "out",
        "work": place / name / "work",
        "experiment": place / "tiny.yaml",
        "device": "cpu",
        "checks_seconds": 0,
        "reserve_seconds": 0,
        "minutes": 0.07,
    }
    return [*(word for key, value in options.items() for word in (f"--{key}", str(value))), *more]


@pytest.fixture(scope="module")
def out(place: Path) -> Path:
    """What comes back of four seconds."""
    quarter.main(command(place, "run"))
    return place / "run" / "out"


@pytest.mark.slow
def test_it_trains_by_the_clock_and_leaves_what_comes_back(out: Path) -> None:
    names = {path.name for path in out.iterdir()}
    assert names == {"report.md", "metrics.csv", "SHA256SUMS", "likeness-l.tar.00"}
    assert max(path.stat().st_size for path in out.iterdir()) <= PIECE_BYTES
    report = (out / "report.md").read_text()
    for words in ("shards unpacked", "training begins", "photographs and", "val/nme", "release of step", "done"):
        assert words in report
    # The config says two steps; the clock says more.
    assert int(report.split("release of step ")[-1].split()[0]) > 2


@pytest.mark.slow
def test_the_pieces_are_a_checkpoint(place: Path, out: Path, tmp_path: Path) -> None:
    unpack_release(out, tmp_path / "likeness-l", place / "head.safetensors")
    model = load_reconstructor(tmp_path / "likeness-l")
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values() if value.is_floating_point())


@pytest.mark.slow
def test_a_second_run_does_not_write_over_the_first(place: Path, out: Path) -> None:
    with pytest.raises(SystemExit, match="holds a run already"):
        quarter.main(command(place, "run"))
    assert (out / "likeness-l.tar.00").is_file()


@pytest.mark.slow
def test_a_failure_leaves_what_there_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TrainingModule.training_step

    def lost(self: TrainingModule, batch: dict, batch_idx: int) -> torch.Tensor:
        if self.global_step == 3:
            raise RuntimeError("the device is lost")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", lost)
    with pytest.raises(RuntimeError, match="the device is lost"):
        quarter.main(command(place, "failed", "--minutes", "5"))
    out = place / "failed" / "out"
    report = (out / "report.md").read_text()
    assert "release of step 3" in report
    assert "stopped by RuntimeError: the device is lost" in report
    assert (out / "SHA256SUMS").is_file()


@pytest.mark.slow
def test_weights_that_are_lost_replace_no_release(place: Path, tmp_path: Path) -> None:
    report = quarter.Report(tmp_path / "report.md")
    experiment, settings = quarter.read_on_this_machine(place / "pack", tmp_path, place / "tiny.yaml", "cpu", bank=None)
    clock = quarter.TrainingClock(experiment, settings, tmp_path, report, ends=0.0)
    module = quarter.ClockedModule(experiment, toy_reconstructor(), ends=0.0)
    next(module.parameters()).data.fill_(math.nan)
    clock.release(module, 7)
    assert "not finite" in report.path.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_the_learning_rate_falls_with_the_clock(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = read(place)
    times = iter((100.0, 150.0, 200.0, 300.0))
    monkeypatch.setattr(quarter.time, "monotonic", lambda: next(times))
    module = quarter.ClockedModule(experiment, toy_reconstructor(), ends=200.0)
    assert module._rate_factor(0) == pytest.approx(0.01)
    # Whatever the step.
    factors = [module._rate_factor(5) for _ in range(4)]
    assert factors == pytest.approx([1.0, 0.505, 0.01, 0.01])


@pytest.mark.slow
def test_another_backbones_start_is_refused(place: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    save_checkpoint(toy_reconstructor(backbone="mobilenetv3_small_050"), place / "head.safetensors", start, {})
    pack(place, tmp_path / "pack", start)
    with pytest.raises(SystemExit, match="starting weights of mobilenetv3_small_050"):
        quarter.main(command(place, "start", "--data", str(tmp_path / "pack")))


def test_drawing_and_checks_end_with_their_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = quarter._start(["sh", "-c", "echo begun; sleep 60 & wait"], log)
    time.sleep(0.3)
    began = time.monotonic()
    assert quarter._wait(process, 0.0) is None
    assert time.monotonic() - began < 5.0
    assert log.read_text() == "begun\n"
    assert quarter._wait(quarter._start(["sh", "-c", "exit 3"], log), 10.0) == 3


@pytest.mark.slow
def test_heads_are_drawn_with_the_runs_own_head_and_size(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(quarter, "_start", lambda command, log: started.append(command))
    quarter._start_drawing(tmp_path, read(place), tmp_path / "none", heads=7)
    options = dict(zip(started[0][3::2], started[0][4::2], strict=True))
    assert options["--head"] == str(place / "head.safetensors")
    assert (options["--size"], options["--count"]) == (str(read(place).image_size), "7")
    assert "--skins" not in options
    report = quarter.Report(tmp_path / "report.md")
    assert quarter._drawn_bank(tmp_path, report) is None
    assert "training goes without" in report.path.read_text()


@pytest.mark.slow
def test_a_bank_of_another_size_is_not_taken(place: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"image": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, tmp_path / "heads-0.safetensors")
    report = quarter.Report(tmp_path / "report.md")
    assert quarter._carried_bank(tmp_path, read(place), report) is None
    assert "drawn heads of 8 px do not fit" in report.path.read_text()


@pytest.mark.slow
def test_without_a_gpu_or_data_it_says_so(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device"):
        quarter.main(["--data", str(place / "pack"), "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="no time is left"):
        quarter.main(command(place, "late", "--reserve_seconds", "60"))
    with pytest.raises(SystemExit, match="not what tools.pack_for_gpu writes"):
        quarter.main(["--data", str(tmp_path), "--output", str(tmp_path), "--device", "cpu"])


def read(place: Path) -> Experiment:
    return quarter.read_experiment(["--config", str(place / "tiny.yaml"), "--output", str(place / "x")])[0]
