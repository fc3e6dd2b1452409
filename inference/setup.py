"""What `infer.py`, `evaluate.py` and `tools/benchmark.py` load before they begin."""

from dataclasses import dataclass
from pathlib import Path

import torch

from data.detector import FaceDetector
from inference.faces import DEFAULT_LOOKS, FaceReconstructor
from model.checkpoint import load_reconstructor


class CommandLineError(Exception):
    """The command line asks for something that is not there; the message is one line."""


@dataclass(frozen=True)
class Tools:
    """Detector and model on one device."""

    detector: FaceDetector
    faces: FaceReconstructor


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
    try:
        reconstructor = load_reconstructor(checkpoint, str(chosen))
    except (FileNotFoundError, ValueError, OSError) as error:
        raise CommandLineError(f"--checkpoint: {' '.join(str(error).split())}") from error
    return Tools(FaceDetector(device=str(chosen)), FaceReconstructor(reconstructor, chosen, looks))


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
