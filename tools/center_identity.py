"""Take a part of the common bias out of the identities that a checkpoint answers.

    python -m tools.center_identity --checkpoint runs/likeness-s-detail/release --shards shards/train [--share 0.5]

What all photographs have in common is the head's mean person (`identity_center`); what the answers have in common
beyond that is a bias of the training. It is measured on training photographs and taken out of the layer that says what
is likely, before points and second look. Drawn heads have a bias of their own, which differs: taking out all that
photographs have adds to it, half of it lessens both (docs/log.md).
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from common.atomic import atomic_path
from common.tensors import read_tensors, save_tensors
from data.loader import LoaderConfig, build_loader
from model.checkpoint import load_reconstructor
from model.reconstructor import Reconstructor
from tools.command import run_tool

_WEIGHTS, _CONFIG, _LAYER = "weights.safetensors", "config.json", "parameter_head.identity.bias"
_BATCH, _BATCHES = 48, 40
"""Two thousand photographs: what they have in common is known to a few hundredths of a deviation then."""


@torch.inference_mode()
def identity_bias(batches: Iterable[dict[str, Any]], reconstructor: Reconstructor) -> Float[Tensor, " identity"]:
    """Mean identity of the answers for photographs less the head's mean person, standard deviations.

    Args:
        batches: Crops and their intrinsics, as a loader gives them.
        reconstructor: The model.

    Raises:
        ValueError: If there is no photograph.
    """
    parts = [reconstructor.encode(batch["image_srgb"], batch["intrinsics_px"]).identity for batch in batches]
    if not parts:
        raise ValueError("no photographs to measure a bias on")
    return torch.cat(parts).mean(0) - reconstructor.morphable_model.identity_center


def center_identity(checkpoint: Path, shards: Path, share: float = 0.5) -> None:
    """Centre the identities of a checkpoint, in place.

    Args:
        checkpoint: Folder of the checkpoint.
        shards: Folder of training shards.
        share: How much of the bias is taken out, 0 to 1.

    Raises:
        ValueError: If the share is none, or there is no photograph.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"--share is {share:g}: expected 0 to 1")
    reconstructor = load_reconstructor(checkpoint)
    config = LoaderConfig(shards, training=False, size=reconstructor.image_size, workers=0, batch_size=_BATCH)

    def photographs() -> Iterable[dict[str, Any]]:
        return itertools.islice(build_loader(config), _BATCHES)

    before = identity_bias(photographs(), reconstructor)
    with torch.no_grad():
        reconstructor.parameter_head.identity.bias.sub_(share * before)
    after = identity_bias(photographs(), reconstructor)
    print(f"common bias of the first photographs: {before.norm():.2f} before, {after.norm():.2f} after")
    tensors, metadata = read_tensors(checkpoint / _WEIGHTS)
    tensors[_LAYER] = reconstructor.parameter_head.identity.bias.detach().to(tensors[_LAYER].dtype)
    settings = json.loads((checkpoint / _CONFIG).read_text(encoding="utf-8"))
    settings["provenance"]["identity_bias_taken_out"] = share
    save_tensors(tensors, checkpoint / _WEIGHTS, metadata)
    with atomic_path(checkpoint / _CONFIG) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and centre."""
    run_tool(center_identity, arguments)


if __name__ == "__main__":
    main()
