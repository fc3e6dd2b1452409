"""Camera matrices that the user states, in a file or in a script."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Float

from common.places import Place
from common.ranges import POSITIVE
from inference.camera_request import CameraError

_FORMS = (
    'expected {"fx": .., "fy": .., "cx": .., "cy": ..} in px, with "width" and "height" where the photographs may have '
    "another size, or three rows of three numbers, or such values by the photographs' names"
)
Intrinsics = Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class StatedCamera:
    """A camera matrix that the user states.

    Attributes:
        matrix_px: `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]` in px.
        size_px: Width and height of the pictures that it belongs to; None for those of whatever photograph.
    """

    matrix_px: Intrinsics
    size_px: tuple[float, float] | None = None


@dataclass(frozen=True)
class IntrinsicsTable:
    """The camera matrices of a file, or one that a script gives.

    Attributes:
        name: What messages call it.
        of_all: The camera of every photograph that has none of its own; None where there is no such.
        by_name: Cameras by the photographs' paths or names.
    """

    name: str
    of_all: StatedCamera | None
    by_name: Mapping[str, StatedCamera]

    def find(self, path: Place) -> StatedCamera:
        """The camera of a photograph: by its whole path, the end of that, its name, else that of all.

        Raises:
            CameraError: If there is none.
        """
        parts = PurePath(str(path)).parts
        for first in range(len(parts)):
            camera = self.by_name.get("/".join(parts[first:]))
            if camera is not None:
                return camera
        if self.of_all is None:
            raise CameraError(f"{self.name} has no camera for {path.name}; name it there, or leave out the photograph")
        return self.of_all


def read_intrinsics(path: Path) -> IntrinsicsTable:
    """Read `--intrinsics`: JSON, text of three rows of three numbers, `.npy`, or a `face.npz` of ours.

    Raises:
        CameraError: Naming the file and what is wrong with it.
    """
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            content = np.load(path, allow_pickle=False)
            return IntrinsicsTable(str(path), _stated(content["intrinsics"] if path.suffix == ".npz" else content), {})
        text = path.read_text(encoding="utf-8")
        if text.lstrip()[:1] in ("{", "["):
            return _table(json.loads(text), str(path))
        return IntrinsicsTable(str(path), _stated([line.replace(",", " ").split() for line in text.splitlines()]), {})
    except OSError as error:
        raise CameraError(f"--intrinsics {path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise CameraError(f"--intrinsics {path}: {' '.join(str(error).split())}; {_FORMS}") from error


def given_intrinsics(matrix_px: object) -> IntrinsicsTable:
    """The camera matrix that a script gives for its photograph.

    Raises:
        CameraError: If it is none.
    """
    try:
        return IntrinsicsTable("intrinsics", _stated(matrix_px), {})
    except (ValueError, TypeError) as error:
        raise CameraError(f"intrinsics: {error}; expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in px") from error


def _table(content: Any, name: str) -> IntrinsicsTable:
    if not isinstance(content, dict) or not content.keys().isdisjoint({"fx", "intrinsics"}):
        return IntrinsicsTable(name, _stated(content), {})
    by_name = {}
    for key, value in content.items():
        try:
            by_name[PurePath(key).as_posix()] = _stated(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{key}: {error}") from error
    if not by_name:
        raise ValueError("holds no camera")
    return IntrinsicsTable(name, None, by_name)


def _stated(content: Any) -> StatedCamera:
    """One camera from whatever form it is stated in."""
    size_px = None
    if isinstance(content, dict):
        size_px = _stated_size(content)
        content = content["intrinsics"] if "intrinsics" in content else _matrix_of_numbers(content)
    if isinstance(content, list):
        # Text may have empty lines.
        content = [row for row in content if len(row)]
        if [len(row) for row in content] != [3, 3, 3]:
            raise ValueError(f"its {len(content)} rows are no camera matrix")
    return StatedCamera(checked_matrix(np.asarray(content, np.float64)), size_px)


def _stated_size(content: Mapping[str, Any]) -> tuple[float, float] | None:
    """Width and height of the pictures that a camera is stated for, where they stand beside it."""
    size = [content.get(name) for name in ("width", "height")]
    if size == [None, None]:
        return None
    width, height = (0.0 if value is None else float(value) for value in size)
    if width not in POSITIVE or height not in POSITIVE:
        raise ValueError(f'"width" and "height" are {size[0]} and {size[1]}: expected both, in px')
    return width, height


def _matrix_of_numbers(content: Mapping[str, Any]) -> list[list[float]]:
    """The matrix of a focal length and a principal point; `fy` may be missing where pixels are square."""
    missing = [name for name in ("fx", "cx", "cy") if name not in content]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    fx, cx, cy = (float(content[name]) for name in ("fx", "cx", "cy"))
    return [[fx, 0.0, cx], [0.0, float(content.get("fy", fx)), cy], [0.0, 0.0, 1.0]]


def checked_matrix(matrix_px: np.ndarray) -> Intrinsics:
    """A camera matrix, if it is one.

    Raises:
        ValueError: Saying why it is none.
    """
    if matrix_px.shape != (3, 3):
        raise ValueError(f"an array of shape {matrix_px.shape} is no camera matrix")
    if not np.isfinite(matrix_px).all():
        raise ValueError("the camera matrix holds values that are not finite")
    if matrix_px[2].tolist() != [0.0, 0.0, 1.0]:
        raise ValueError(f"the last row of the camera matrix is {matrix_px[2].tolist()}, not [0, 0, 1]")
    fx, fy = float(matrix_px[0, 0]), float(matrix_px[1, 1])
    if not (fx > 0.0 and fy > 0.0):
        raise ValueError(f"the focal lengths are {fx:g} and {fy:g} px: they must be positive")
    skew = max(abs(float(matrix_px[0, 1])), abs(float(matrix_px[1, 0])))
    if skew > 1e-6 * fx:
        raise ValueError(f"the camera matrix has a skew of {skew:g} px: undistort the photographs first")
    return matrix_px
