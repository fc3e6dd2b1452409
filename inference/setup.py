"""What `infer.py`, `evaluate.py` and `tools/benchmark.py` load before they begin."""

from dataclasses import dataclass
from pathlib import Path

import torch

from data.detector import FaceDetector
from inference.faces import DEFAULT_LOOKS, FaceReconstructor
from inference.options import CommandLineError
from model.checkpoint import load_reconstructor
from model.reconstructor import Reconstructor


@dataclass(frozen=True)
class Tools:
    """Detector and model on one device."""

    detector: FaceDetector
    faces: FaceReconstructor
    device: torch.device


def load_tools(checkpoint: Path, device: str, looks: int = DEFAULT_LOOKS) -> Tools:
    """Load detector and model.

    Args:
        checkpoint: Checkpoint folder.
        device: `auto`, `cpu` or `cuda`.
        looks: Crops of each face, see `FaceReconstructor`.

    Raises:
        CommandLineError: If the checkpoint or the device cannot be used.
    """
    chosen = choose_device(device)
    faces = FaceReconstructor(load_model(checkpoint, chosen), chosen, looks)
    return Tools(FaceDetector(device=str(chosen)), faces, chosen)


def load_model(checkpoint: Path, device: torch.device) -> Reconstructor:
    """Load a checkpoint.

    Raises:
        CommandLineError: If it cannot be used.
    """
    try:
        return load_reconstructor(checkpoint, str(device))
    except (OSError, ValueError) as error:
        raise CommandLineError(f"--checkpoint: {' '.join(str(error).split())}") from error


def choose_device(name: str) -> torch.device:
    """The device of a command line's `--device`.

    Raises:
        CommandLineError: If it is `cuda` and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise CommandLineError("--device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device(name)
