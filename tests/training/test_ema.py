from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.ema import WeightAverage


class Tiny(LightningModule):
    """A layer with statistics and an index buffer, trained towards nothing in particular."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.register_buffer("index", torch.tensor([5, 7, 9]))
        self.validated: list[dict[str, Tensor]] = []
        self.trained: list[dict[str, Tensor]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.trained.append(snapshot(self))
        return self.layers(batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(snapshot(self))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def fit(average: WeightAverage, steps: int, **options: Any) -> tuple[Tiny, Trainer]:
    module = Tiny()
    generator = torch.Generator().manual_seed(0)
    batches = DataLoader(torch.randn(400, 3, generator=generator), batch_size=4)
    trainer = Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=1, callbacks=[average], **options,
    )  # fmt: skip
    trainer.fit(module, batches, DataLoader(torch.zeros(4, 3), batch_size=4))
    return module, trainer


def test_it_is_the_moving_average_of_the_weights() -> None:
    average = WeightAverage(decay=0.5)
    module, _ = fit(average, 6, val_check_interval=100)
    # After step n the memory is (1 + n) / (10 + n) while that is shorter than asked for; here never longer than 0.5.
    weights = [*module.trained, snapshot(module)]
    expected = weights[0]["layers.0.weight"]
    for step in range(1, 7):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1.0 - decay) * weights[step]["layers.0.weight"]
    torch.testing.assert_close(average.average["layers.0.weight"], expected)


def test_validation_sees_the_average_and_training_goes_on_with_its_own_weights() -> None:
    average = WeightAverage(decay=0.9)
    module, _ = fit(average, 8, val_check_interval=4)
    validated = module.validated[0]
    before, after = module.trained[3], module.trained[4]
    assert not torch.equal(validated["layers.0.weight"], after["layers.0.weight"])
    assert not torch.equal(validated["layers.1.running_mean"], after["layers.1.running_mean"])
    # What training goes on with is one step of 0.5 times a gradient from before, not the average.
    unvalidated, _ = fit(WeightAverage(decay=0.9), 8, val_check_interval=100)
    for name, value in unvalidated.trained[4].items():
        torch.testing.assert_close(after[name], value, msg=name)
    assert not torch.equal(before["layers.0.weight"], after["layers.0.weight"])


def test_whole_numbers_are_not_averaged() -> None:
    average = WeightAverage()
    module, _ = fit(average, 3, val_check_interval=100)
    assert "index" not in average.average
    assert not any("num_batches_tracked" in name for name in average.average)
    average.copy_to(module)
    assert module.index.tolist() == [5, 7, 9]


def test_the_release_holds_the_average() -> None:
    average = WeightAverage(decay=0.9)
    module, _ = fit(average, 5, val_check_interval=100)
    average.copy_to(module)
    for name, value in average.average.items():
        assert torch.equal(module.state_dict()[name], value), name


def test_accumulated_batches_move_it_once() -> None:
    average = WeightAverage(decay=0.9)
    module, trainer = fit(average, 2, val_check_interval=100, accumulate_grad_batches=3)
    assert trainer.global_step == 2
    assert len(module.trained) == 6
    assert average.state_dict()["steps"] == 2


def test_a_resumed_run_takes_up_its_average() -> None:
    average = WeightAverage(decay=0.9)
    module, trainer = fit(average, 3, val_check_interval=100)
    resumed = WeightAverage(decay=0.9)
    resumed.load_state_dict(average.state_dict())
    resumed.on_fit_start(trainer, Tiny())
    for name, value in average.average.items():
        torch.testing.assert_close(resumed.average[name], value)


@pytest.mark.parametrize("decay", [0.0])
def test_without_memory_it_is_the_last_weights(decay: float) -> None:
    average = WeightAverage(decay=decay)
    module, _ = fit(average, 4, val_check_interval=100)
    torch.testing.assert_close(average.average["layers.2.weight"], module.state_dict()["layers.2.weight"])


def test_processes_validate_with_the_first_ones_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are the same on all processes; statistics of batch norm are not; all send them in one order."""
    average, module = WeightAverage(), Tiny()
    average.start(module)
    sent: list[int] = []
    monkeypatch.setattr(torch.distributed, "broadcast", lambda value, src: sent.append(id(value)) or value.fill_(7.0))
    trainer: Any = type("Trainer", (), {"world_size": 2})()
    average.on_validation_start(trainer, module)
    assert module.layers[1].running_mean.eq(7.0).all()  # pyright: ignore[reportAttributeAccessIssue]
    assert sent == [id(average.average[f"layers.1.{name}"]) for name in ("running_mean", "running_var")]
    average.on_validation_end(trainer, module)
    assert not module.layers[1].running_mean.eq(7.0).any()  # pyright: ignore[reportAttributeAccessIssue]
