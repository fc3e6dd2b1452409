"""What a run writes: numbers, sheets, Weights & Biases; and that writing waits for the device only where it must."""

import csv
import traceback
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import train
from tests.small_run import arguments, make_place
from tests.small_world import IMAGE_SIZE
from training import logs
from training.logs import is_logged_in
from training.module import TrainingModule
from training.sheet import COLUMNS

STEPS = 9


class Readings(TorchDispatchMode):
    """Notes who reads the value of a tensor: on a GPU, each reading waits for all the work before it."""

    def __init__(self) -> None:
        super().__init__()
        self.module: TrainingModule | None = None
        self.found: list[tuple[int, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and self.module is not None:
            frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()[:-1]]
            # AdamW counts its steps in tensors that lie on the CPU wherever the weights are, and there is another
            # rasterizer for GPUs.
            if not any("torch/optim" in frame or "render/cpu/" in frame for frame in frames):
                self.found.append((self.module.global_step, " < ".join(reversed(frames))))
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str]]]:
    """A run of nine steps that logs each fourth, in bfloat16, and the readings of values by step."""
    place = make_place(tmp_path_factory.mktemp("logs"))
    readings = Readings()
    original = TrainingModule.training_step
    networks: list[torch.dtype] = []

    def training_step(self: TrainingModule, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        readings.module = self
        if not networks:
            network = self.reconstructor.backbone.network
            network.register_forward_hook(lambda module, inputs, output: networks.append(output.dtype))
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch, readings:
        patch.setattr(TrainingModule, "training_step", training_step)
        train.main(
            arguments(
                place,
                "run",
                f"--schedule.max_steps={STEPS}",
                "--schedule.log_every_steps=4",
                "--schedule.validate_every_steps=100",
                "--logging.sheet_every_steps=5",
                "--trainer.precision=bf16-mixed",
            )  # fmt: skip
        )
    assert networks[0] is torch.bfloat16
    return place / "run", readings.found


def rows(run: Path, column: str) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row.get(column)]


@pytest.mark.slow
def test_values_are_read_only_where_they_are_logged(run: tuple[Path, list[tuple[int, str]]]) -> None:
    # The last one reads once more what is returned.
    quiet = [(step, where) for step, where in run[1] if step % 4 and step < STEPS and "sheet.py" not in where]
    assert not quiet, f"read at every step: {quiet[0]}"
    # The means of this test: logging does read.
    assert any(step % 4 == 0 for step, _ in run[1])


@pytest.mark.slow
def test_losses_rate_and_throughput_have_names(run: tuple[Path, list[tuple[int, str]]]) -> None:
    losses = rows(run[0], "train/loss")
    assert [int(row["step"]) for row in losses] == [3, 7]
    named = [name for name, value in losses[0].items() if name.startswith("train/") and value]
    assert {"train/loss", "train/landmarks68", "train/photometric"} <= set(named)
    terms = sum(float(losses[0][name]) for name in named if name != "train/loss")
    assert terms == pytest.approx(float(losses[0]["train/loss"]), rel=1e-4)
    assert any(name.startswith("lr-") for name in rows(run[0], "lr-AdamW/pg1")[0])
    speed = rows(run[0], "images_per_second")
    assert [int(row["step"]) for row in speed] == [3, 7]
    assert all(float(row["images_per_second"]) > 0 and float(row["data/skipped"]) == 0 for row in speed)


@pytest.mark.slow
def test_bfloat16_trains_to_finite_numbers(run: tuple[Path, list[tuple[int, str]]]) -> None:
    assert all(np.isfinite(float(row["train/loss"])) for row in rows(run[0], "train/loss"))


@pytest.mark.slow
def test_a_sheet_shows_faces_in_rows_and_what_is_known_of_them_in_columns(
    run: tuple[Path, list[tuple[int, str]]],
) -> None:
    (path,) = (run[0] / "sheets").iterdir()
    assert path.name == "step-000005.png"
    sheet = cv2.imread(str(path))
    assert sheet is not None
    # All four that are held out: fewer than a sheet has room for.
    faces, title = 4, sheet.shape[0] - 4 * IMAGE_SIZE
    assert sheet.shape == (title + faces * IMAGE_SIZE, len(COLUMNS) * IMAGE_SIZE, 3)
    assert 0 < title < IMAGE_SIZE
    columns = [sheet[title:, k * IMAGE_SIZE : (k + 1) * IMAGE_SIZE].astype(int) for k in range(len(COLUMNS))]
    assert all(column.std() > 5 for column in columns)
    for one in range(len(columns)):
        assert all(np.abs(columns[one] - columns[two]).mean() > 1 for two in range(one))
    # Geometry is grey; the light's ball is round and lies in the middle.
    assert np.ptp(columns[2], axis=-1).max() == 0
    ball = columns[4][:IMAGE_SIZE]
    assert ball[0].max() == 0
    assert ball[IMAGE_SIZE // 2, IMAGE_SIZE // 2].min() > 30


def test_an_account_is_found_without_asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not is_logged_in()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert is_logged_in()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not is_logged_in()
    monkeypatch.delenv("WANDB_MODE")
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "key")
    assert is_logged_in()


@pytest.mark.slow
def test_wandb_without_an_account_writes_into_the_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is an optional extra")
    monkeypatch.setattr(logs, "is_logged_in", lambda: False)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    place = make_place(tmp_path)
    train.main(arguments(place, "run", "--logging.wandb=true", "--logging.sheet_every_steps=2"))
    (offline,) = (place / "run" / "wandb").glob("offline-run-*")
    assert list(offline.glob("*.wandb"))
    name = (place / "run" / "wandb-run.txt").read_text().strip()
    assert offline.name.endswith(name)
