"""The model that program tests run: the released one where it is, else an untrained one with the toy head."""

from pathlib import Path

from common.paths import DEFAULT_CHECKPOINT
from model.checkpoint import save_checkpoint
from model.face.assets import save_head
from tests.small_world import toy_head, toy_reconstructor


def toy_checkpoint(folder: Path) -> Path:
    """Write an untrained checkpoint with the toy head; it answers with the mean face in the window."""
    head = folder / "head.safetensors"
    save_head(toy_head(), head)
    save_checkpoint(toy_reconstructor(), head, folder / "likeness-toy", {})
    return folder / "likeness-toy"


def any_checkpoint(folder: Path) -> Path:
    """The released checkpoint if the repository holds it, else a toy one in `folder`."""
    return DEFAULT_CHECKPOINT if (DEFAULT_CHECKPOINT / "config.json").is_file() else toy_checkpoint(folder)
