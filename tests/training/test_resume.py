"""Stops and restarts: a killed run goes on as if it had not been."""

import csv
import logging
import random
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train
from common.paths import REPOSITORY
from data.loader_config import LoaderConfig
from data.stream import Position
from tests.small_run import arguments, make_place
from tests.training.processes import PATIENCE_S, finish, start
from training.module import TrainingModule
from training.photographs import Photographs
from training.resume import AtomicCheckpointIO, remove_half_written

STEPS, STOP = 12, 7
OPTIONS = (
    f"--schedule.max_steps={STEPS}",
    "--schedule.checkpoint_every_steps=3",
    "--schedule.validate_every_steps=6",
    "--logging.sheet_every_steps=0",
    "--loss.photometric=0",
    "--train.batch_size=3",
    "--train.workers=2",
)


def noisy_run(options: list[str]) -> None:
    """Train with noise from every source of numbers that a model or a loss could draw from."""
    original = TrainingModule.training_step

    def noisy(self: TrainingModule, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        noise = float(torch.rand(())) + np.random.rand() + random.random()  # noqa: NPY002
        time.sleep(0.05)
        return original(self, {**batch, "image_srgb": batch["image_srgb"] + 0.05 * noise}, batch_idx)

    TrainingModule.training_step = noisy
    train.main(options)


def losses(run: Path) -> dict[int, str]:
    """Loss by step over all parts of a run's log; a later part counts where they overlap."""
    found: dict[int, str] = {}
    for path in [*sorted(run.glob("metrics-part*.csv")), run / "metrics.csv"]:
        if path.is_file():
            with path.open() as file:
                rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
            found |= {int(row["step"]): row["train/loss"] for row in rows}
    return found


def kill_behind_step(process: BaseProcess, run: Path, step: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.is_alive() and time.monotonic() < deadline and max(losses(run), default=-1) < step:
        time.sleep(0.01)
    assert process.is_alive(), "it ended before it could be killed"
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_a_run_killed_in_mid_epoch_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    """The same to the last digit: samples and their augmentation, weights, optimiser, schedule, random states."""
    place, log = make_place(tmp_path, train_shards=2), tmp_path / "log"
    killed = start(noisy_run, log, arguments(place, "killed", *OPTIONS))
    kill_behind_step(killed, place / "killed", STOP)
    stopped_at = max(losses(place / "killed"))
    for output, more in (("killed", ["--resume"]), ("whole", [])):
        finish(start(noisy_run, log, arguments(place, output, *OPTIONS, *more)), log)
    expected = losses(place / "whole")
    assert sorted(expected) == list(range(STEPS))
    assert STOP <= stopped_at < STEPS - 1
    assert losses(place / "killed") == expected
    assert len(set(expected.values())) == STEPS
    one, two = (torch.load(place / run / "last.ckpt", weights_only=False) for run in ("killed", "whole"))
    averages = [next(s["average"] for s in c["callbacks"].values() if "average" in s) for c in (one, two)]
    for name, value in averages[0].items():
        torch.testing.assert_close(value, averages[1][name], atol=0, rtol=0, msg=name)


class Place:
    """What `Photographs` asks of a trainer."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.global_rank, self.world_size = rank, world_size


def start_of(photographs: Photographs, positions: dict[str, Any] | None, rank: int, world_size: int) -> Any:
    photographs.trainer = Place(rank, world_size)  # pyright: ignore[reportAttributeAccessIssue]
    if positions is not None:
        photographs.resume(positions)
    loader: Any = photographs.train_dataloader()
    return loader.dataset.share


@pytest.fixture
def configs(tmp_path: Path) -> tuple[LoaderConfig, LoaderConfig]:
    place = make_place(tmp_path, train_shards=4)
    return LoaderConfig(place / "train", size=64, workers=2), LoaderConfig(place / "val", size=64, training=False)


def positions_of(configs: tuple[LoaderConfig, LoaderConfig], world_size: int) -> dict[str, Any]:
    ranks = []
    for rank in range(world_size):
        photographs = Photographs(*configs)
        start_of(photographs, None, rank, world_size)
        for part, drawn in ((2 * rank, 5), (2 * rank + 1, 6), (2 * rank, 9)):
            photographs.note({"part": part, "epoch": 4, "drawn": drawn, "skipped": 0})
        ranks.append(photographs.position())
    return Photographs(*configs).all_positions(ranks)


def test_each_process_goes_on_where_it_stood_with_the_worker_whose_turn_it_is(
    configs: tuple[LoaderConfig, LoaderConfig],
) -> None:
    positions = positions_of(configs, 2)
    share = start_of(Photographs(*configs), positions, 1, 2)
    assert dict(share.start) == {2: Position(4, 9), 3: Position(4, 6)}
    assert share.first_worker == 1


@pytest.mark.parametrize(
    ("world_size", "changes", "told"),
    [
        (1, {}, "there were 2 processes, now 1"),
        (2, {"workers": 1}, "each had 2 loader workers, now 1"),
        (2, {"seed": 7}, "the options of their order have changed"),
    ],
)
def test_what_cannot_be_kept_is_told_and_another_pass_begins(
    configs: tuple[LoaderConfig, LoaderConfig],
    caplog: pytest.LogCaptureFixture,
    world_size: int,
    changes: dict[str, int],
    told: str,
) -> None:
    positions = positions_of(configs, 2)
    changed = LoaderConfig(**{**vars(configs[0]), **changes})
    with caplog.at_level(logging.WARNING):
        share = start_of(Photographs(changed, configs[1]), positions, 0, world_size)
    assert told in caplog.text
    assert share.default_start == Position(5)
    assert not share.start


def test_a_second_restart_keeps_what_no_batch_has_told_yet(configs: tuple[LoaderConfig, LoaderConfig]) -> None:
    positions = positions_of(configs, 1)
    photographs = Photographs(*configs)
    start_of(photographs, positions, 0, 1)
    photographs.note({"part": 1, "epoch": 4, "drawn": 20, "skipped": 0})
    again = start_of(Photographs(*configs), photographs.all_positions([photographs.position()]), 0, 1)
    assert dict(again.start) == {0: Position(4, 9), 1: Position(4, 20)}
    assert again.first_worker == 0


HALF_WRITTEN = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
from training.resume import AtomicCheckpointIO
save = torch.save

def half(content, file):
    save(content, file)
    file.flush()
    os.truncate(file.fileno(), 100)
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = half
AtomicCheckpointIO().save_checkpoint({"step": 2}, sys.argv[2])
"""


@pytest.mark.slow
def test_a_kill_while_a_checkpoint_is_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    command = [sys.executable, "-c", HALF_WRITTEN, str(REPOSITORY), str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert torch.load(path)["step"] == 1
    assert len(list(tmp_path.iterdir())) == 2
    remove_half_written(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    AtomicCheckpointIO().save_checkpoint({"step": 3}, path)
    assert torch.load(path)["step"] == 3
