"""Stops and restarts: what a checkpoint holds beside Lightning's own, and how its file is written."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from common.atomic import atomic_path
from common.old_names import current_weights
from training.logs import keep_log
from training.photographs import Photographs

_KEY = "run_state"


class RunState(Callback):
    """Keeps the place in the shards and the random states of every process.

    With them a run that was killed goes on as if it had not been: the same samples, the same numbers.
    """

    def __init__(self, photographs: Photographs) -> None:
        """Take what tells the place in the shards."""
        self._photographs = photographs
        self._random: dict[str, Any] | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Restore the random states before the first step; what comes before it may have drawn numbers."""
        if self._random is not None:
            _set_random_state(self._random, pl_module.device)
            self._random = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note how far the streams have come."""
        self._photographs.note(batch["progress"])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Every process's state; all of them come here, one writes.

        Raises:
            FloatingPointError: If the weights are lost, so that the checkpoint before is left as it is.
        """
        if not all(value.isfinite().all() for value in checkpoint["state_dict"].values() if value.is_floating_point()):
            raise FloatingPointError("the weights are not finite any more; last.ckpt is left as it was before")
        own = {"position": self._photographs.position(), "random": _random_state(pl_module.device)}
        states: list[dict[str, Any]] = [own]
        if trainer.world_size > 1:
            states = [{}] * trainer.world_size
            torch.distributed.all_gather_object(states, own)
        checkpoint[_KEY] = {
            "positions": self._photographs.all_positions([state["position"] for state in states]),
            "random": [state["random"] for state in states],
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        # A run of an earlier version has none: it begins the shards anew.
        state = checkpoint.get(_KEY)
        if state is None:
            return
        self._photographs.resume(state["positions"])
        if len(state["random"]) == trainer.world_size:
            self._random = state["random"][trainer.global_rank]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the one before and puts it in its place when it is whole and on the disk.

    Lightning's own writes into the system's folder of temporary files, and moving from there to another disk is a copy:
    a kill in the middle would leave half a file, and nothing to resume.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(self, path: str | Path, *others: Any, **options: Any) -> dict[str, Any]:
        """Read one; where an earlier version wrote it, weights and their average get the names of today."""
        checkpoint = super().load_checkpoint(path, *others, **options)
        checkpoint["state_dict"] = current_weights(checkpoint["state_dict"], str(path))
        for state in checkpoint.get("callbacks", {}).values():
            if "average" in state:
                state["average"] = current_weights(state["average"], str(path))
        return checkpoint


@rank_zero_only
def prepare_folder(folder: Path, resolved_config: str) -> None:
    """Make a run's folder, put what earlier parts of it left in order, and write its whole config."""
    folder.mkdir(parents=True, exist_ok=True)
    keep_log(folder)
    remove_half_written(folder)
    with atomic_path(folder / "config.yaml") as temporary:
        temporary.write_text(resolved_config, encoding="utf-8")


def remove_half_written(folder: Path) -> None:
    """Delete what a killed run left of checkpoints that it was writing."""
    for path in folder.glob(".last-*.ckpt"):
        path.unlink()


def _random_state(device: torch.device) -> dict[str, Any]:
    state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}  # noqa: NPY002
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["torch"].cpu())
    np.random.set_state(state["numpy"])  # noqa: NPY002
    random.setstate(state["python"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
