"""The door to h5py, which reads the Basel models of 2017 and 2019; only their users need it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Hdf5File:
    """What an HDF5 file holds.

    Attributes:
        arrays: Arrays of numbers by their paths.
        texts: Texts by their paths.
    """

    arrays: dict[str, np.ndarray]
    texts: dict[str, str]


def read_hdf5(path: Path, needed: tuple[str, ...]) -> Hdf5File:
    """Read a whole HDF5 file.

    Args:
        path: The file.
        needed: Arrays that it must hold.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no HDF5 file, lacks arrays, or h5py is not installed; the message says so.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ValueError(f"{path} is an HDF5 file, which needs the package h5py: pip install h5py") from error
    arrays: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        value = item[()]
        value = value.item() if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.hasobject else value
        if isinstance(value, bytes | str):
            texts[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        elif np.asarray(value).dtype.kind in "fiub":
            arrays[name] = np.asarray(value)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path}: not an HDF5 file that can be read ({error})") from error
    if missing := sorted(set(needed) - set(arrays)):
        raise ValueError(f"{path}: {', '.join(missing)} missing")
    return Hdf5File(arrays, texts)
