"""A file of skins: whole albedos per vertex that drawn heads wear (`tools.learn_albedo --skins` makes it)."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from common.paths import tool_command
from common.tensors import open_tensors

SKINS_FORMAT = "likeness-skins-1"


def load_skins(path: Path, vertex_count: int) -> UInt8[Tensor, "skin vertex 3"]:
    """Read skins.

    Args:
        path: A `likeness-skins-1` safetensors file.
        vertex_count: Of the head they are for.

    Returns:
        Square roots of linear RGB, 0..255.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not such a file, or for another head; the message names it.
    """
    missing = f"no such file of skins; make it with {tool_command('learn_albedo', '--skins')}"
    file, _ = open_tensors(path, SKINS_FORMAT, needed=("skins_sqrt",), missing=missing)
    skins = file.get_tensor("skins_sqrt")
    if skins.dtype != torch.uint8 or skins.ndim != 3 or skins.shape[1:] != (vertex_count, 3) or not len(skins):
        raise ValueError(f"{path}: skins are {skins.dtype} {tuple(skins.shape)}, expected uint8 (n, {vertex_count}, 3)")
    return skins
