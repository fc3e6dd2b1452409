"""Train the person network, and measure it.

    python -m tools.train_person_mask train --config configs/person_mask.yaml
    python -m tools.train_person_mask measure --weights checkpoints/likeness-mask/weights.safetensors --labels FILE

Labels come from `tools.label_persons`. Training can be stopped and goes on from its last minute when started again.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from jsonargparse import auto_cli
from torch import Tensor

from common.atomic import atomic_path
from common.ranges import AT_LEAST_ONE, POSITIVE, checked
from common.tensors import read_tensors
from model.person.classes import CLASS_NAMES, UNKNOWN
from model.person.network import PersonNetwork, PersonNetworkConfig, load_person_network, save_person_network
from training.person_samples import PersonAugmentConfig, PersonSamples

_EDGE_WEIGHT = 2.0
"""What a pixel on the border of two classes counts more: the outline is what hair is made of."""
_CLASS_WEIGHTS = (1.0, 1.0, 1.3, 1.3)
_AVERAGED_STEPS = 100.0
"""How many steps the moving average of the weights looks back, at most."""
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("batch_size", "steps"), POSITIVE: ("learning_rate", "backbone_factor")})
class PersonTrainingConfig:
    """A run.

    Attributes:
        labels: `train.safetensors` of `tools.label_persons`.
        output: Folder for the weights and what is needed to go on.
        backbone_weights: ImageNet weights of the backbone (`tools.import_backbone`); None starts from random ones.
        network: The network.
        augment: How photographs are changed.
        size: Side of the samples in px; the network is then used at `network.image_size`.
        batch_size: Samples a step.
        steps: How many steps.
        learning_rate: Of the way up, at its largest.
        backbone_factor: What the backbone's learning rate is of it.
        weight_decay: AdamW's.
        seed: Of everything random.
        seconds_a_run: A run stops after this long, and the next one goes on; None for one run.
    """

    labels: Path
    output: Path
    backbone_weights: Path | None = None
    network: PersonNetworkConfig = field(default_factory=PersonNetworkConfig)
    augment: PersonAugmentConfig = field(default_factory=PersonAugmentConfig)
    size: int = 144
    batch_size: int = 16
    steps: int = 1200
    learning_rate: float = 3e-3
    backbone_factor: float = 0.2
    weight_decay: float = 0.02
    seed: int = 0
    seconds_a_run: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if self.size % 16 or self.size < 32:
            raise ValueError(f"size is {self.size}: expected a multiple of 16, at least 32")


def train(config: PersonTrainingConfig) -> None:
    """Train and write `weights.safetensors` into the output folder."""
    config.output.mkdir(parents=True, exist_ok=True)
    samples = PersonSamples(config.labels, config.size, config.augment)
    torch.manual_seed(config.seed)
    network = PersonNetwork(config.network)
    if config.backbone_weights is not None:
        _load_backbone(network, config.backbone_weights)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = _optimizer(network, config)
    step = _resume(config.output / "state.pt", network, average, optimizer)
    saved, loss_sum, began = time.monotonic(), 0.0, step
    end = saved + (math.inf if config.seconds_a_run is None else config.seconds_a_run)
    for images, labels in _batches(samples, config, step):
        for group in optimizer.param_groups:
            group["lr"] = group["largest"] * _schedule(step / config.steps)
        loss = segmentation_loss(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        step += 1
        _average(average, network, step)
        loss_sum += float(loss.detach())
        over = time.monotonic() > end or step == config.steps
        if time.monotonic() - saved > _SAVE_EVERY_S or over:
            print(f"step {step} of {config.steps}: loss {loss_sum / max(step - began, 1):.4f}", flush=True)
            saved, loss_sum, began = time.monotonic(), 0.0, step
            _save(config.output / "state.pt", network, average, optimizer, step)
        if over:
            break
    network.load_state_dict(average)
    said = f"{len(samples)} labelled photographs, {step} steps of {config.batch_size} at {config.size} px"
    save_person_network(network, config.output / "weights.safetensors", said)


def measure(weights: Path, labels: Path, size: int | None = None) -> None:
    """Print the intersection over union of each class on labelled photographs.

    Args:
        weights: A trained network.
        labels: `validation.safetensors` of `tools.label_persons`.
        size: Side of the pictures in px; the network's own by default.
    """
    network = load_person_network(weights)
    samples = PersonSamples(labels, size or network.config.image_size)
    confusion = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    generator = np.random.default_rng(0)
    with torch.inference_mode():
        for index in range(len(samples)):
            image, label = samples.sample(index, generator)
            answer = network(_as_batch([image])).argmax(1)[0].numpy()
            known = label != UNKNOWN
            np.add.at(confusion, (label[known], answer[known]), 1)
    print(f"{len(samples)} photographs at {size or network.config.image_size} px")
    for name, value in zip(CLASS_NAMES, intersection_over_union(confusion), strict=True):
        print(f"{name:12s} IoU {value:.3f}")
    person = np.array([confusion[0, 0], confusion[1:, 1:].sum(), confusion[0, 1:].sum() + confusion[1:, 0].sum()])
    print(f"person       IoU {person[1] / (person[1] + person[2]):.3f}")


def intersection_over_union(confusion: Int[np.ndarray, "kind kind"]) -> Float[np.ndarray, " kind"]:
    """Of each class, from counts of (true, answered); NaN where a class neither occurs nor is answered."""
    both = np.diag(confusion).astype(np.float64)
    either = confusion.sum(0) + confusion.sum(1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def segmentation_loss(
    scores: Float[Tensor, "batch kind height width"], labels: Int[Tensor, "batch height width"]
) -> Float[Tensor, ""]:
    """Cross-entropy over the known pixels; those on a border of classes count more.

    Args:
        scores: Logits.
        labels: Classes, `UNKNOWN` where nothing is to be learned.
    """
    known = labels != UNKNOWN
    target = torch.where(known, labels, 0)
    weights = torch.tensor(_CLASS_WEIGHTS, device=scores.device)
    loss = torch.nn.functional.cross_entropy(scores, target, weight=weights, reduction="none")
    plane = labels.float()[:, None]
    highest = torch.nn.functional.max_pool2d(plane, 3, 1, 1)[:, 0]
    lowest = -torch.nn.functional.max_pool2d(-plane, 3, 1, 1)[:, 0]
    edge = (highest != lowest) & (highest < UNKNOWN)
    weight = known * (1.0 + (_EDGE_WEIGHT - 1.0) * edge)
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)


def _batches(
    samples: PersonSamples, config: PersonTrainingConfig, first: int
) -> Iterator[tuple[Float[Tensor, "batch 3 size size"], Int[Tensor, "batch size size"]]]:
    """The batches from a step on; each step's are the same however often training was interrupted."""
    per_pass = max(len(samples) // config.batch_size, 1)
    for step in range(first, config.steps):
        order = np.random.default_rng([config.seed, step // per_pass]).permutation(len(samples))
        generator = np.random.default_rng([config.seed, step, 1])
        start = (step % per_pass) * config.batch_size
        pairs = [samples.sample(int(i), generator) for i in order[start : start + config.batch_size]]
        yield _as_batch([image for image, _ in pairs]), torch.from_numpy(np.stack([label for _, label in pairs])).long()


def _as_batch(images: list[np.ndarray]) -> Float[Tensor, "batch 3 size size"]:
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255.0
    return pixels.contiguous(memory_format=torch.channels_last)


def _load_backbone(network: PersonNetwork, path: Path) -> None:
    weights, _ = read_tensors(path, remedy="make it with python -m tools.import_backbone")
    own = network.backbone.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    network.backbone.load_state_dict({name: weights[name] for name in own if name not in counters} | counters)


def _optimizer(network: PersonNetwork, config: PersonTrainingConfig) -> torch.optim.AdamW:
    groups = []
    for prefix, largest in (("backbone.", config.learning_rate * config.backbone_factor), ("", config.learning_rate)):
        mine = [value for name, value in network.named_parameters() if name.startswith("backbone.") == (prefix != "")]
        groups.append({"params": mine, "lr": largest, "largest": largest})
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _schedule(done: float) -> float:
    """A short rise, then half a cosine to nothing."""
    return min(done / 0.05, 1.0) * 0.5 * (1.0 + math.cos(math.pi * done)) + 1e-3


def _average(average: dict[str, Tensor], network: PersonNetwork, step: int) -> None:
    """Move the average of the weights on; early it looks back less far. Counters are taken as they are."""
    keep = min(1.0 - 1.0 / _AVERAGED_STEPS, (1.0 + step) / (10.0 + step))
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].mul_(keep).add_(value, alpha=1.0 - keep)
        else:
            average[name].copy_(value)


def _save(
    path: Path, network: PersonNetwork, average: dict[str, Tensor], optimizer: torch.optim.Optimizer, step: int
) -> None:
    state = {
        "network": network.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, network: PersonNetwork, average: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.update(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"going on from step {state['step']}")
    return int(state["step"])


if __name__ == "__main__":
    auto_cli([train, measure], as_positional=False)
