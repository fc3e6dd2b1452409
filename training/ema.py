"""Exponential moving average of the weights (Polyak & Juditsky 1992), as a Lightning callback.

Lightning's own `EMAWeightAveraging` also averages integer buffers, and truncation turns a vertex index 5 into 4; it
copies the morphable model's bases each step as well. This one averages what a checkpoint holds: floating tensors of
the state dict.
"""

from typing import Any

import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class WeightAverage(Callback):
    """Keep the average; validation and the released checkpoint use it.

    Attributes:
        average: Averaged tensors by name; empty before training.
    """

    def __init__(self, decay: float = 0.999) -> None:
        """Set the decay per optimiser step; early steps use a shorter memory, (1 + n) / (10 + n)."""
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self._steps = 0
        self._kept: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights that training starts from, unless a resumed run brought its average."""
        self.start(pl_module)

    def start(self, pl_module: LightningModule) -> None:
        """Take the weights as they are for an average that has not begun."""
        current = _floating(pl_module)
        if not self.average:
            self.average = {name: value.clone() for name, value in current.items()}
        self.average = {name: self.average[name].to(value.device) for name, value in current.items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average once per optimiser step, not per accumulated batch."""
        if trainer.global_step == self._steps:
            return
        self.move(pl_module, trainer.global_step)

    def move(self, pl_module: LightningModule, step: int) -> None:
        """Move the average towards the weights after an optimiser step."""
        self._steps = step
        decay = min(self.decay, (1 + step) / (10 + step))
        current = _floating(pl_module)
        averaged = list(self.average.values())
        torch._foreach_lerp_(averaged, [current[n] for n in self.average], 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average, the same one on all processes."""
        if self.average:
            self._agree(trainer, pl_module)
            self._kept = {name: value.clone() for name, value in _floating(pl_module).items()}
            _assign(pl_module, self.average)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on training the weights themselves."""
        if self._kept:
            _assign(pl_module, self._kept)
            self._kept = {}

    def _agree(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the first process's statistics of batch norm: each process has those of its own batches."""
        if trainer.world_size > 1:
            trained = {name for name, _ in pl_module.named_parameters()}
            for name in sorted(self.average.keys() - trained):
                torch.distributed.broadcast(self.average[name], src=0)

    def copy_to(self, pl_module: LightningModule) -> None:
        """Overwrite the module's weights with the average, for release."""
        _assign(pl_module, self.average)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"average": self.average, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a resumed run's average."""
        self.average, self._steps = state_dict["average"], state_dict["steps"]


def _floating(module: LightningModule) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in module.state_dict().items() if value.is_floating_point()}


@torch.no_grad()
def _assign(module: LightningModule, values: dict[str, Tensor]) -> None:
    state = module.state_dict()
    for name, value in values.items():
        state[name].copy_(value)
