"""What the commands load before they begin; what cannot be had is an error of the command line."""

from pathlib import Path

import torch

from data.detection_limits import MIN_FACE_PX, MIN_SCORE
from inference.faces import DEFAULT_LOOKS
from inference.likeness import Likeness, encoding, find_device
from inference.options import Backend, CommandLineError, HairKind
from model.checkpoint import load_reconstructor
from model.reconstructor import Reconstructor


def load_likeness(
    checkpoint: Path,
    device: str,
    looks: int = DEFAULT_LOOKS,
    *,
    min_face: float = MIN_FACE_PX,
    min_score: float = MIN_SCORE,
    hair: HairKind = "shell",
    backend: Backend = "auto",
) -> Likeness:
    """Load detector and model.

    Args:
        checkpoint: Checkpoint folder.
        device: `auto`, `cpu` or `cuda`.
        looks: Crops of each face, see `FaceReconstructor`.
        min_face: Smallest face that is looked for, in px of the photograph.
        min_score: Least score of a face.
        hair: What becomes of hair, see `HairKind`.
        backend: What runs the network.

    Raises:
        CommandLineError: If the checkpoint, the device or the backend cannot be used.
    """
    chosen = choose_device("cpu" if backend == "onnx" and device == "auto" else device)
    network = load_model(checkpoint, chosen)
    try:
        encode = encoding(backend, checkpoint, chosen)
    except (OSError, ValueError) as error:
        raise CommandLineError(f"--backend {backend}: {error}") from error
    return Likeness.of_network(network, chosen, looks, min_face=min_face, min_score=min_score, hair=hair, encode=encode)


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
    try:
        return find_device(name)
    except ValueError as error:
        raise CommandLineError(f"--{error}") from error
