"""A file of skins: whole albedos per vertex that drawn heads wear (`tools.learn_albedo --skins` makes it)."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor

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
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of skins; make it with python -m tools.learn_albedo --skins")
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            skins = file.get_tensor("skins_sqrt") if found == SKINS_FORMAT else None
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if skins is None:
        raise ValueError(f"{path}: format is {found!r}, expected {SKINS_FORMAT!r}")
    if skins.dtype != torch.uint8 or skins.ndim != 3 or skins.shape[1:] != (vertex_count, 3) or not len(skins):
        raise ValueError(f"{path}: skins are {skins.dtype} {tuple(skins.shape)}, expected uint8 (n, {vertex_count}, 3)")
    return skins
