"""An untrained network whose answers differ from crop to crop, with points and a second look, and its checkpoint."""

from pathlib import Path

import torch

from model.checkpoint import save_checkpoint
from model.face.assets import save_head
from model.reconstructor import Reconstructor
from tests.small_world import toy_head, toy_reconstructor


def lively_reconstructor(*, points: bool = True) -> Reconstructor:
    """A toy reconstructor whose heads answer to the crop: untrained they are all zero."""
    torch.manual_seed(0)
    reconstructor = toy_reconstructor(points=points, aligned_look=points)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in reconstructor.named_parameters():
            if name.endswith("weight") and not weight.any():
                weight.normal_(0.0, 0.02, generator=generator)
    return reconstructor


def lively_checkpoint(folder: Path) -> Path:
    """The checkpoint folder of such a network."""
    head = folder / "head.safetensors"
    save_head(toy_head(), head)
    save_checkpoint(lively_reconstructor(), head, folder / "lively", {})
    return folder / "lively"
