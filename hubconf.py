"""Loading Likeness from any script: `torch.hub.load("<repository or folder>", "likeness_s")`."""

from pathlib import Path

from common.paths import DEFAULT_CHECKPOINT
from model import Reconstructor, load_reconstructor

dependencies = ["torch", "timm", "safetensors", "numpy", "jaxtyping"]


def likeness_s(checkpoint: str | None = None, device: str = "cpu") -> Reconstructor:
    """The released reconstructor, in evaluation mode.

    Args:
        checkpoint: Another checkpoint folder; by default the one that comes with the repository.
        device: A torch device.

    Returns:
        A module whose `forward(image_srgb (B,3,S,S) in [0,1], intrinsics_px (B,3,3))` gives a `Reconstruction`;
        S is its `image_size`.
    """
    return load_reconstructor(Path(checkpoint) if checkpoint else DEFAULT_CHECKPOINT, device)
