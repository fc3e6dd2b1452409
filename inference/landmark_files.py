"""iBUG's 68 points from files: `.npy`, `.npz`, `.json`, `.pts`.

All hold px of the original photograph, x right and y down from the corner of its first pixel (docs/conventions.md). In
`.pts`, iBUG's own format, the first pixel's centre is (1, 1): half a pixel is taken off.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from common.places import Place

SUFFIXES = (".npy", ".npz", ".json", ".pts")

_PTS_CORNER_PX = 0.5
_POINTS_KEYS = ("landmarks68_px", "landmarks", "points")


def find_landmark_file(place: Path, image: Place) -> Path:
    """The file that goes with a photograph.

    Args:
        place: A file, or a folder with a file of the photograph's name without its suffix.
        image: The photograph.

    Raises:
        FileNotFoundError: Naming what was looked for.
        ValueError: If the file's suffix is unknown.
    """
    if place.is_dir():
        for suffix in SUFFIXES:
            candidate = place / f"{image.stem}{suffix}"
            if candidate.is_file():
                return candidate
        raise FileNotFoundError(f"{place}: no landmarks of {image.name}; expected {image.stem}{'|'.join(SUFFIXES)}")
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file of landmarks")
    if place.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{place}: landmarks are read from {', '.join(SUFFIXES)}")
    return place


def read_landmark_file(path: Path, stem: str) -> Float[np.ndarray, "face 68 2"]:
    """The points of every face of a photograph; NaN where a point is unknown.

    A `.npz` or `.json` may hold several photographs, by their names without suffix; else its points are under
    `landmarks68_px`, `landmarks` or `points`, or they are all it holds.

    Args:
        path: The file.
        stem: Name of the photograph without suffix.

    Raises:
        ValueError: Naming the file, if it is damaged or holds no 68 points.
    """
    try:
        points = np.asarray(_content(path, stem), dtype=np.float64)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no landmarks can be read: {' '.join(str(error).split())}") from error
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[1] != 68 or points.shape[2] not in (2, 3):
        shape = " x ".join(str(length) for length in np.shape(points))
        raise ValueError(f"{path}: holds {shape or 'one'} number(s); expected iBUG's 68 x 2 px, or faces x 68 x 2")
    return points[..., :2]


def _content(path: Path, stem: str) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[_key(arrays.files, stem)]
    if suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        return content[_key(list(content), stem)] if isinstance(content, dict) else content
    return _pts(path)


def _key(names: list[str], stem: str) -> str:
    for name in (stem, *_POINTS_KEYS):
        if name in names:
            return name
    if len(names) == 1 and names[0].startswith("arr_"):
        return names[0]
    raise ValueError(f"it has neither {stem!r} nor one of {', '.join(_POINTS_KEYS)}, but {', '.join(names[:8])}")


def _pts(path: Path) -> Float[np.ndarray, "point 2"]:
    text = path.read_text(encoding="utf-8")
    start, end = text.find("{"), text.find("}")
    if not 0 <= start < end:
        raise ValueError("expected a list of points in braces")
    rows = [line.split() for line in text[start + 1 : end].splitlines() if line.strip()]
    return np.array(rows, dtype=np.float64) - _PTS_CORNER_PX
