"""Two processes train as one with their joined batch would, and measure as one."""

import csv
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

import train
from data.loader import build_loader
from data.loader_config import LoaderConfig
from model.encoder.backbone import EncoderConfig
from model.face.assets import load_head
from model.losses.config import LossConfig
from model.reconstructor import Reconstructor
from tests.small_run import arguments, make_place
from tests.small_world import BACKBONE, IMAGE_SIZE
from tests.training.processes import finish, start
from training.config import Experiment, TrainerConfig
from training.module import TrainingModule

# Every test needs a run of several processes.
pytestmark = pytest.mark.slow

RANKS = 2
LOSS = LossConfig(photometric=1.0)


def run_rank(rank: int, port: int, options: list[str], notes: Path) -> None:
    """One of the processes of a run; it keeps batches, starting weights and gradients."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    rank_zero_only.rank = rank
    original = TrainingModule.training_step
    batches: list[Any] = []

    def training_step(self: TrainingModule, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        # Batch norm would see each process's half of the batch, which is another function: here it is held.
        self.reconstructor.backbone.eval()
        if not batches:
            torch.save(self.state_dict(), notes / f"start-{rank}.pt")
        batches.append(batch)
        torch.save(batches, notes / f"batches-{rank}.pt")
        return original(self, batch, batch_idx)

    def on_before_optimizer_step(self: TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        path = notes / f"gradients-{rank}-{self.global_step}.pt"
        torch.save({name: p.grad for name, p in self.named_parameters() if p.grad is not None}, path)

    TrainingModule.training_step = training_step
    TrainingModule.on_before_optimizer_step = on_before_optimizer_step
    train.main(options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes: two steps of two batches each, validated on an uneven number of shards."""
    place = make_place(tmp_path_factory.mktemp("two"), train_shards=4, val_shards=3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = arguments(
        place, "run", "--trainer.devices=2", "--trainer.accumulate_batches=2", "--train.batch_size=2",
        "--validation.batch_size=1", "--logging.sheet_every_steps=0",
    )  # fmt: skip
    logs = [place / f"log-{rank}" for rank in range(RANKS)]
    processes = [start(run_rank, logs[rank], rank, port, options, place) for rank in range(RANKS)]
    for process, log in zip(processes, logs, strict=True):
        finish(process, log)
    return place


def load(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def module_of(place: Path, state: dict[str, torch.Tensor]) -> TrainingModule:
    nowhere = LoaderConfig(place, size=IMAGE_SIZE)
    experiment = Experiment(
        place, nowhere, nowhere, image_size=IMAGE_SIZE, encoder=EncoderConfig(BACKBONE), loss=LOSS,
        trainer=TrainerConfig(compile=False),
    )  # fmt: skip
    module = TrainingModule(
        experiment, Reconstructor(experiment.encoder, IMAGE_SIZE, load_head(place / "head.safetensors"))
    )
    module.load_state_dict(state)
    module.log = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    module.log_dict = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    return module


def joined(batches: list[dict[str, Any]]) -> dict[str, Any]:
    tensors = [name for name, value in batches[0].items() if isinstance(value, torch.Tensor)]
    return {name: torch.cat([batch[name] for batch in batches]) for name in tensors}


def test_processes_start_alike_and_read_different_photographs(place: Path) -> None:
    one, two = (load(place / f"start-{rank}.pt") for rank in range(RANKS))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=0, rtol=0, msg=name)
    # Two batches each are the first pass over the shards.
    first = [load(place / f"batches-{rank}.pt")[:2] for rank in range(RANKS)]
    names = [{name for batch in own for name in batch["name"]} for own in first]
    assert len(names[0]) == len(names[1]) == 4
    assert not names[0] & names[1]


def test_gradients_are_those_of_one_process_with_the_joined_batch(place: Path) -> None:
    """Of both accumulated batches of both processes."""
    module = module_of(place, load(place / "start-0.pt")).train()
    module.reconstructor.backbone.eval()
    batches = [load(place / f"batches-{rank}.pt") for rank in range(RANKS)]
    assert [len(own) for own in batches] == [4, 4]
    module.training_step(joined([batch for own in batches for batch in own[:2]]), 0).backward()
    expected = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    for rank in range(RANKS):
        gradients = load(place / f"gradients-{rank}-0.pt")
        for name, value in expected.items():
            scale = float(value.abs().max())
            torch.testing.assert_close(gradients[name], value, atol=1e-5 * scale + 1e-9, rtol=1e-4, msg=name)


def test_uneven_parts_of_the_validation_give_the_mean_over_all_faces(place: Path) -> None:
    checkpoint = load(place / "run" / "last.ckpt")
    average = next(state["average"] for state in checkpoint["callbacks"].values() if "average" in state)
    module = module_of(place, {**checkpoint["state_dict"], **average}).eval()
    config = LoaderConfig(place / "val", training=False, size=IMAGE_SIZE, batch_size=4, workers=0)
    with torch.no_grad():
        for batch in build_loader(config):
            module.validation_step(dict(batch), 0)
    expected = module.validated.means(module.device)
    with (place / "run" / "metrics.csv").open() as file:
        (logged,) = [row for row in csv.DictReader(file) if row.get("val/nme")]
    assert set(expected) >= {"nme", "residual"}
    for name, value in expected.items():
        assert float(logged[f"val/{name}"]) == pytest.approx(float(value), rel=1e-4), name


def test_one_process_writes(place: Path) -> None:
    assert (place / "run" / "release" / "config.json").is_file()
    assert not list((place / "run").glob("metrics-part*.csv"))
    state = load(place / "run" / "last.ckpt")["run_state"]
    parts = [set(rank["given"]) for rank in state["positions"]["ranks"]]
    assert parts == [{0}, {1}]
    assert len(state["random"]) == RANKS
