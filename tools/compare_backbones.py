"""Which backbone: error after the same training time, and milliseconds a face.

    python -m tools.compare_backbones --config configs/likeness_s_landmarks.yaml --train.workers 0 \
        --output runs/backbones --candidates '[resnet18@112, tf_efficientnet_lite0@112=timm]'

A candidate is NAME@SIZE, from random weights, or NAME@SIZE=WEIGHTS with what `encoder.pretrained` takes. Each is
trained by the config's recipe, but with warm-up and cosine over the budget instead of a number of steps. The budget is
this process's CPU time, so that other work on the machine favours no candidate: load in the same process
(`--train.workers 0`), on one thread (OMP_NUM_THREADS=1). `--minutes 0` measures the speed alone, with one thread and
with as many as torch takes.
"""

import dataclasses
import functools
import itertools
import json
import math
import time
import timeit
from typing import Any

import lightning
import torch
from lightning.pytorch import Trainer

from common.atomic import atomic_path
from data.landmarks import yaw_from_landmarks
from data.loader import build_loader
from model.checkpoint import save_checkpoint
from model.encoder.backbone import EncoderConfig
from model.face.assets import load_head
from model.observation import Observation
from model.reconstructor import Reconstructor
from training.config import Experiment
from training.ema import WeightAverage
from training.module import TrainingModule
from training.parser import ExperimentParser


def described(candidate: str, base: Experiment) -> Experiment:
    """The experiment with a candidate's backbone, in a folder of its own; ValueError if it is written otherwise."""
    place, _, weights = candidate.partition("=")
    name, _, size = place.partition("@")
    if not name or not size.isdigit():
        raise ValueError(f"candidate {candidate!r}: expected NAME@SIZE or NAME@SIZE=WEIGHTS")
    return dataclasses.replace(
        base,
        encoder=EncoderConfig(name, weights or "none"),
        image_size=int(size),
        train=dataclasses.replace(base.train, size=int(size)),
        validation=dataclasses.replace(base.validation, size=int(size)),
        output=base.output / f"{place}-{'pretrained' if weights else 'random'}",
    )


class BudgetedModule(TrainingModule):
    """The training of `train.py`, ended by a budget of CPU time, which the learning rate follows too."""

    def __init__(self, experiment: Experiment, reconstructor: Reconstructor, seconds: float) -> None:
        """Start the clock."""
        super().__init__(experiment, reconstructor)
        self._seconds, self._started = seconds, time.process_time()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop after the step in which the budget ran out."""
        self.trainer.should_stop = self._spent() >= 1.0

    def _spent(self) -> float:
        return min((time.process_time() - self._started) / self._seconds, 1.0)

    def _rate_factor(self, step: int) -> float:
        return rate_factor(self._spent())


def rate_factor(spent: float, warmup: float = 0.1) -> float:
    """Learning rate over its peak at a part of the budget: linear warm-up, then a cosine, never below 1 %."""
    rise = spent / warmup if spent < warmup else 0.5 + 0.5 * math.cos(math.pi * (spent - warmup) / (1.0 - warmup))
    return 0.01 + 0.99 * rise


def train(experiment: Experiment, seconds: float) -> dict[str, float]:
    """Train for the budget, keep the checkpoint, and measure it on the held-out shards."""
    lightning.seed_everything(experiment.seed, workers=True)
    reconstructor, average = _reconstructor(experiment), WeightAverage(experiment.schedule.average_decay)
    module, started = BudgetedModule(experiment, reconstructor, seconds), time.perf_counter()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    clip = experiment.optimizer.gradient_clip
    trainer = Trainer(max_epochs=-1, gradient_clip_val=clip, accelerator="cpu", callbacks=[average], **quiet)
    trainer.fit(module, build_loader(experiment.train))
    samples, wall_seconds = trainer.global_step * experiment.train.batch_size, time.perf_counter() - started
    average.copy_to(module)
    save_checkpoint(reconstructor, experiment.head, experiment.output, {"samples": samples, "cpu_seconds": seconds})
    return {"samples": samples, "wall_seconds": wall_seconds, **held_out(reconstructor, experiment)}


@torch.inference_mode()
def held_out(reconstructor: Reconstructor, experiment: Experiment) -> dict[str, float]:
    """NME of the 68 points in percent, by the labels' own yaw: every candidate has the same faces in a bin."""
    reconstructor.eval()
    errors, yaws = [], []
    for batch in build_loader(experiment.validation):
        seen = Observation.from_dict(batch)
        answer = reconstructor(seen.image_srgb, seen.intrinsics_px).landmarks68_image
        error = (answer[..., :2] - seen.landmarks68_px[..., :2]).norm(dim=-1).mean(1) / seen.box_px
        labelled = seen.landmarks68_weight > 0
        errors.append(100.0 * error[labelled])
        yaws += [math.degrees(abs(yaw_from_landmarks(face.numpy()))) for face in seen.landmarks68_px[labelled]]
    nme, yaw = torch.cat(errors), torch.tensor(yaws)
    bins = {f"nme_{low}": nme[(yaw >= low) & (yaw < high)].mean().item() for low, high in ((0, 30), (30, 60), (60, 91))}
    return {**bins, "nme": nme.mean().item()}


@torch.inference_mode()
def speed(experiment: Experiment) -> dict[str, float]:
    """Millions of weights, and milliseconds a face of the network alone, without the head model."""
    reconstructor = _reconstructor(experiment).eval()
    measured = {"million_weights": sum(weights.numel() for weights in reconstructor.parameters()) / 1e6}
    most_threads = torch.get_num_threads()
    for batch, threads in itertools.product((1, 16), sorted({1, most_threads})):
        torch.set_num_threads(threads)
        fake = Observation.fake(batch, experiment.image_size)
        # The fastest of many: what the machine does beside it only adds.
        work = functools.partial(reconstructor.encode, fake.image_srgb, fake.intrinsics_px)
        seconds = min(timeit.repeat(work, number=1, repeat=40))
        measured[f"ms_batch{batch}_threads{threads}"] = 1000.0 * seconds / batch
    torch.set_num_threads(most_threads)
    return measured


def _reconstructor(experiment: Experiment) -> Reconstructor:
    reconstructor = Reconstructor(experiment.encoder, experiment.image_size, load_head(experiment.head))
    reconstructor.backbone.network.to(memory_format=torch.channels_last)
    return reconstructor


def main(arguments: list[str] | None = None) -> None:
    """Print a row for each candidate as it is done, and keep them in `accuracy.json` or `speed.json`."""
    parser = ExperimentParser(description=__doc__, prog="compare_backbones")
    parser.add_argument("--config", action="config", help="YAML of the training stage")
    parser.add_argument("--candidates", type=list[str], required=True, help="NAME@SIZE or NAME@SIZE=WEIGHTS, ...")
    parser.add_argument("--minutes", type=float, default=8.0, help="CPU time of each; 0: the speed alone")
    parser.add_class_arguments(Experiment, None)
    options = vars(parser.instantiate(parser.parse_args(arguments)))
    candidates, minutes, _ = (options.pop(name, None) for name in ("candidates", "minutes", "config"))
    base, rows = Experiment(**options), {}
    base.output.mkdir(parents=True, exist_ok=True)
    for experiment in [described(candidate, base) for candidate in candidates]:
        title = experiment.output.name
        rows[title] = train(experiment, 60.0 * minutes) if minutes > 0 else speed(experiment)
        print(title, *(f"{name}={value:.2f}" for name, value in rows[title].items()), flush=True)
        with atomic_path(base.output / ("accuracy.json" if minutes > 0 else "speed.json")) as temporary:
            temporary.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
