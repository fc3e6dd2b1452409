"""Give a model a first identity layer in closed form, so that training need not grow it out of nothing.

    python -m tools.start_identity --checkpoint FOLDER --drawn runs/drawn --shards shards/train --output runs/start

A layer that starts at zero answers one head for all people, and losses that compare people (`recognition_teacher`,
`shape_consistency`) have no direction to go by there: in a trial it was still at a spread of 0.03 standard deviations
after 500 steps. Here the layer is a ridge regression from the encoder's features: to the true identity of drawn heads,
and to the identity of photographs as their landmarks are fitted (`tools/statistics/fitting.py`, prior at the head's
mean person). The regularisation is chosen by what it predicts on a sixth of both. What is written has weights only,
for `start_from`. Five minutes on one core.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.paths import DEFAULT_HEAD
from common.tensors import read_tensors, save_tensors
from data.augment import AugmentConfig
from data.loader import build_loader
from data.loader_config import LoaderConfig
from model.checkpoint import CHECKPOINT_FORMAT
from model.encoder.backbone import EncoderConfig
from model.face.assets import HeadAssets, load_head
from model.reconstructor import Reconstructor
from tools.command import run_tool
from tools.statistics.fitting import FitConfig, fit_points, point_model
from tools.statistics.surface import SurfacePoints
from training.drawn_bank import DrawnBank, heads_drawn_alike

_BATCH = 50
_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Candidates, over the mean variance of a feature."""
_UNTOUCHED = AugmentConfig(mirror=0.0, color=0.0, grey=0.0, blur=0.0, noise=0.0, compression=0.0, occlusion=0.0)

Pairs = tuple[Float[Tensor, "face feature"], Float[Tensor, "face identity"]]
"""Features that the layer reads, and what it should say."""


@torch.inference_mode()
def drawn_pairs(reconstructor: Reconstructor, folder: Path, head_path: Path, count: int) -> Pairs:
    """Of drawn heads, with their true identity."""
    model = reconstructor.morphable_model
    bank = DrawnBank(folder, _BATCH, model, None, heads_drawn_alike(head_path), _UNTOUCHED)
    parts = []
    for number in range(-(-min(count, len(bank)) // _BATCH)):
        samples, truths = bank.samples(number)
        # A mirrored head's identity is not that of any coefficients; and each is seen once here.
        kept = [not truth.mirrored for truth in truths]
        features = _features(reconstructor, samples["image_srgb"], samples["intrinsics_px"])[kept]
        identity = np.stack([truth.identity for truth in truths if not truth.mirrored])
        parts.append((features, torch.from_numpy(identity)))
    return _joined(parts)


@torch.inference_mode()
def photograph_pairs(reconstructor: Reconstructor, head: HeadAssets, shards: Path, count: int) -> Pairs:
    """Of photographs, with the identity that their 68 landmarks speak for."""
    stored = head.landmarks["ibug68"]
    points = point_model(head, SurfacePoints(stored.face.astype(np.int64), stored.barycentric))
    config = LoaderConfig(shards, training=False, size=reconstructor.image_size, batch_size=_BATCH, workers=0)
    parts = []
    for batch in itertools.islice(build_loader(config), -(-count // _BATCH)):
        labelled = batch["landmarks68_weight"] > 0.0
        if not bool(labelled.any()):
            continue
        labels = batch["landmarks68_px"][labelled] * torch.tensor([1.0, -1.0, 1.0])
        center = reconstructor.morphable_model.identity_center
        fit = fit_points(points, labels, FitConfig(), identity_center=center)
        features = _features(reconstructor, batch["image_srgb"][labelled], batch["intrinsics_px"][labelled])
        parts.append((features, fit.identity))
    return _joined(parts)


def _features(reconstructor: Reconstructor, image_srgb: Tensor, intrinsics_px: Tensor) -> Float[Tensor, "face feature"]:
    features = reconstructor.backbone.split(reconstructor.features(image_srgb)).pooled
    return reconstructor.parameter_head.with_camera(features, intrinsics_px, reconstructor.image_size)


def _joined(parts: list[Pairs]) -> Pairs:
    if not parts:
        raise ValueError("nothing to learn the identity layer from: no faces with landmarks, or no drawn heads")
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def fit_layer(
    drawn: Pairs, photographs: Pairs, center: Float[Tensor, " identity"]
) -> tuple[Float[Tensor, "identity feature"], Float[Tensor, " identity"], str]:
    """The layer that predicts both best.

    Args:
        drawn: Of drawn heads.
        photographs: Of photographs.
        center: Mean person of the labels: the layer's mean answer to photographs.

    Returns:
        Weight and bias, and a line that says how well held-out identities are predicted.
    """
    # Each kind around its own mean: that drawings differ from photographs shall not be read as a person's shape.
    groups = []
    for features, identity in (drawn, photographs):
        held_out = torch.arange(len(features)) % 6 == 0
        groups.append((features - features[~held_out].mean(0), identity - identity[~held_out].mean(0), held_out))
    train_x, train_y = (torch.cat([group[i][~group[2]] for group in groups]).double() for i in (0, 1))
    gram, product = train_x.T @ train_x, train_x.T @ train_y
    scale = float(gram.diagonal().mean())
    best: tuple[float, Tensor, str] | None = None
    for ridge in _RIDGES:
        weight = torch.linalg.solve(gram + ridge * scale * torch.eye(len(gram), dtype=gram.dtype), product)
        left = [1.0 - _share(group, weight) for group in groups]
        share = [100.0 * (1.0 - value) for value in left]
        line = f"ridge {ridge}: explains {share[0]:.1f} % of drawn, {share[1]:.1f} % of photographed identities"
        if best is None or sum(left) < best[0]:
            best = (sum(left), weight, line)
    assert best is not None
    weight = best[1].float().T.contiguous()
    return weight, center - weight @ photographs[0].mean(0), best[2]


def _share(group: tuple[Tensor, Tensor, Tensor], weight: Tensor) -> float:
    """Share of the variance of held-out identities that is predicted."""
    features, identity, held_out = group
    error = identity[held_out].double() - features[held_out].double() @ weight
    return 1.0 - float(error.square().sum() / identity[held_out].double().square().sum())


def start_identity(
    checkpoint: Path,
    drawn: Path,
    shards: Path,
    output: Path,
    head: Path = DEFAULT_HEAD,
    backbone: str = "tf_efficientnet_lite0",
    image_size: int = 112,
    count: int = 8000,
) -> None:
    """Write weights with a fitted identity layer.

    Args:
        checkpoint: Folder with the weights to start from.
        drawn: Bank of drawn heads.
        shards: Folder of training shards.
        output: Folder to write to, made if missing.
        head: Morphable-model file.
        backbone: Of the checkpoint.
        image_size: Side of its crops in px.
        count: How many drawn heads and how many photographs to look at.
    """
    assets = load_head(head)
    stored, _ = read_tensors(checkpoint / "weights.safetensors")
    weights = {name: value.float() for name, value in stored.items()}
    reconstructor = Reconstructor(EncoderConfig(backbone), image_size, assets).eval()
    state = reconstructor.state_dict()
    reconstructor.load_state_dict({**state, **{n: w for n, w in weights.items() if n in state}})
    pairs = drawn_pairs(reconstructor, drawn, head, count), photograph_pairs(reconstructor, assets, shards, count)
    weight, bias, line = fit_layer(*pairs, reconstructor.morphable_model.identity_center)
    weights["parameter_head.identity.weight"], weights["parameter_head.identity.bias"] = weight, bias
    output.mkdir(parents=True, exist_ok=True)
    written = {name: value.contiguous() for name, value in weights.items()}
    save_tensors(written, output / "weights.safetensors", {"format": CHECKPOINT_FORMAT})
    print(line)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and fit."""
    run_tool(start_identity, arguments)


if __name__ == "__main__":
    main()
