"""Training throughput over that of the bare backbone, with the same batch.

    python -m tools.bench_train [CONFIG ...] [--batch 32] [--rounds 5] [--threads 1]

A training step is all that `train.py` does with a batch that lies ready: forward, rendering, losses, backward, gradient
clipping, optimiser, moving average. The bare backbone's is forward, backward and optimiser. Both run in turns in one
process, in CPU time, so that other work on the machine does not count; the median of the rounds' ratios does.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from common.paths import CONFIG_FOLDER
from data.loader import build_loader
from model.observation import Observation
from model.render.rasterizer import Rasterizer
from model.render.renderer import Renderer
from tools.timing import in_turns
from train import build_reconstructor, read_experiment
from training.config import Experiment
from training.ema import WeightAverage
from training.module import TrainingModule

BAR = 0.5
"""Least throughput over the bare backbone's."""

DEFAULT_CONFIGS = ("likeness_s_landmarks", "likeness_s_shape")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ratio:
    """Throughput of training over that of the bare backbone.

    Attributes:
        bare_ms: Median time of the bare backbone's step.
        training_ms: Median time of a training step.
        ratios: Of each round.
    """

    bare_ms: float
    training_ms: float
    ratios: list[float]

    @property
    def median(self) -> float:
        """Median of the rounds' ratios."""
        return statistics.median(self.ratios)


def measure(experiment: Experiment, batch: dict[str, object], rounds: int) -> Ratio:
    """Time both steps in turns, after a round that warms up."""
    steps = [bare_step(experiment, batch), training_step(experiment, batch)]
    # CPU time, of all threads together.
    bare_ms, training_ms = in_turns(steps, rounds, time.process_time)
    ratios = [bare / training for bare, training in zip(bare_ms, training_ms, strict=True)]
    return Ratio(statistics.median(bare_ms), statistics.median(training_ms), ratios)


def batch_for(experiment: Experiment, count: int) -> dict[str, object]:
    """A batch of the config's own shards, or of noise where they are not there."""
    try:
        config = type(experiment.train)(**{**vars(experiment.train), "workers": 0, "batch_size": count})
        return dict(next(iter(build_loader(config))))
    except FileNotFoundError:
        return vars(Observation.fake(count, experiment.image_size))


def without_start(path: Path) -> Experiment:
    """A config whose model starts from nothing, uncompiled: the time of a step does not depend on its weights."""
    nothing = ("--encoder.pretrained", "none", "--start_from", "null", "--start_fresh", "[]")
    options = (*nothing, "--trainer.compile", "false")
    return read_experiment(["--config", str(path), *options])[0]


def bare_step(experiment: Experiment, batch: dict[str, object], device: torch.device = _CPU) -> Callable[[], object]:
    """Forward, backward and optimiser of the backbone alone, on a batch that lies on the device."""
    backbone = build_reconstructor(experiment).backbone.train().to(device)
    optimizer = torch.optim.AdamW(backbone.parameters())
    image_srgb = batch["image_srgb"]

    def step() -> None:
        optimizer.zero_grad()
        with _precision(experiment, device):
            features = backbone(image_srgb)
        features.float().square().mean().backward()
        optimizer.step()

    return step


def training_step(
    experiment: Experiment,
    batch: dict[str, object],
    device: torch.device = _CPU,
    rasterizer: Rasterizer | None = None,
) -> Callable[[], object]:
    """What `train.py` does with a batch that lies ready, as a function without arguments.

    Args:
        experiment: The run.
        batch: Lies on the device.
        device: Where the step runs.
        rasterizer: What draws; the training's own by default.
    """
    module = TrainingModule(experiment, build_reconstructor(experiment)).train().to(device)
    if rasterizer is not None:
        module.objective.renderer = Renderer(rasterizer)
    # There is no trainer to log to.
    module.log = module.log_dict = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    average = WeightAverage(experiment.schedule.average_decay)
    average.start(module)
    optimizer = module.configure_optimizers()["optimizer"]
    weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step() -> None:
        optimizer.zero_grad()
        with _precision(experiment, device):
            loss = module.training_step(dict(batch), 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, experiment.optimizer.gradient_clip)
        optimizer.step()
        average.move(module, 1000)

    return step


def _precision(experiment: Experiment, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=experiment.trainer.precision == "bf16-mixed")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = [CONFIG_FOLDER / f"{name}.yaml" for name in DEFAULT_CONFIGS]
    parser.add_argument("configs", type=Path, nargs="*", default=defaults, help="training configs")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"batch {options.batch}, {options.rounds} rounds in turns, {options.threads} torch threads; bar {BAR}")
    for path in options.configs:
        experiment = without_start(path)
        ratio = measure(experiment, batch_for(experiment, options.batch), options.rounds)
        print(
            f"{path.stem:<28} bare backbone {ratio.bare_ms:7.0f} ms, training {ratio.training_ms:7.0f} ms, "
            f"throughput ratio {ratio.median:.2f} ({min(ratio.ratios):.2f} to {max(ratio.ratios):.2f})"
            f"{'' if ratio.median >= BAR else '  BELOW THE BAR'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
