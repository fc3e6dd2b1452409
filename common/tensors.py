"""Safetensors files with a word on what they are: `format` in their metadata."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from common.atomic import atomic_path


def save_tensors(tensors: Mapping[str, Any], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a file, atomically.

    Args:
        tensors: NumPy's arrays or PyTorch's tensors, contiguous.
        path: In a folder that exists.
        metadata: Texts, `format` among them where readers ask for it.
    """
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save_file
    else:
        # Here, so that who writes arrays need not load torch.
        from safetensors.torch import save_file
    with atomic_path(path) as temporary:
        save_file(dict(tensors), temporary, metadata=metadata)


def open_tensors(
    path: Path,
    expected: str | None = None,
    *,
    framework: Literal["pt", "numpy"] = "pt",
    needed: Collection[str] = (),
    missing: str = "no such file",
    remedy: str = "",
) -> tuple[Any, dict[str, str]]:
    """Open a file, whose tensors are then read one by one or in slices.

    Args:
        path: The file.
        expected: Its `format`; None to take any.
        framework: Whether tensors are PyTorch's or NumPy's.
        needed: Tensors that it must hold.
        missing: What is said where there is no file.
        remedy: What to do where it is another one than expected.

    Returns:
        What `safetensors.safe_open` gives, and the metadata.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such file; the message names it.
    """
    path, then = Path(path), f"; {remedy}" if remedy else ""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {missing}")
    try:
        file = safe_open(path, framework=framework)
        metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error}){then}") from error
    if expected is not None and metadata.get("format") != expected:
        raise ValueError(f"{path}: format is {metadata.get('format')!r}, expected {expected!r}{then}")
    if lacking := sorted(set(needed) - set(file.keys())):
        raise ValueError(f"{path}: lacks {', '.join(lacking)}{then}")
    return file, metadata


def read_tensors(path: Path, expected: str | None = None, **options: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a whole file: its tensors by name, and the metadata. Arguments and errors are those of `open_tensors`."""
    file, metadata = open_tensors(path, expected, **options)
    return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - not a dict
