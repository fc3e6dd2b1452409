"""The camera of a photograph: what the user says of it, else its EXIF data, else an assumption."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float

from common.places import Place
from data.image_io import DecodedPhotograph
from inference.camera_request import FOV_RANGE, CameraError, CameraRequest
from inference.intrinsics import IntrinsicsTable, read_intrinsics
from model.geometry.camera import (
    DEFAULT_FOV_DEGREES,
    centered_intrinsics,
    default_intrinsics,
    focal_from_fov,
    fov_from_focal,
)

CameraSource = Literal["assumed", "exif", "fov", "focal_px", "intrinsics", "refined"]
"""Where a camera came from: `fov`, `focal_px` and `intrinsics` are what the user said, `refined` what a stage of a
refinement found.
"""

_SAME_ASPECT = 0.01
_MOST_STRETCHED = 3.0
"""Pixels of anamorphic pictures are twice as wide as high."""
_FARTHEST_DEGREES = 80.0
"""The middle of a photograph that was cut out of a wide one may lie so far off its camera's axis."""


@dataclass(frozen=True)
class PhotographCamera:
    """The camera of a whole photograph, upright.

    Attributes:
        intrinsics_px: Its matrix.
        source: Where it came from.
        note: The same in words.
    """

    intrinsics_px: Float[torch.Tensor, "3 3"]
    source: CameraSource
    note: str


class Cameras:
    """Says which camera a photograph has."""

    def __init__(self, request: CameraRequest | None = None, table: IntrinsicsTable | None = None) -> None:
        """Take what the user says.

        Args:
            request: The options.
            table: The matrices that its file holds; read where they are not given.

        Raises:
            CameraError: If the file cannot be used.
        """
        self._request = request or CameraRequest()
        self._table = table
        if table is None and self._request.intrinsics is not None:
            self._table = read_intrinsics(self._request.intrinsics)

    @property
    def given(self) -> bool:
        """Whether the user says what the camera is."""
        return self._request.given or self._table is not None

    def of(self, photograph: DecodedPhotograph, path: Place) -> PhotographCamera:
        """The camera of a photograph.

        Args:
            photograph: Its pixels and EXIF data.
            path: Its file.

        Raises:
            CameraError: If what the user says cannot be this photograph's camera.
        """
        height, width = photograph.image_srgb.shape[:2]
        longer = float(max(height, width))
        request = self._request
        if self._table is not None:
            matrix = self._stated(self._table, path, width, height)
            return PhotographCamera(_plausible(matrix, width, height), "intrinsics", f"from {self._table.name}")
        if request.focal_px is not None:
            matrix = _plausible(centered_intrinsics(height, width, request.focal_px), width, height)
            return PhotographCamera(matrix, "focal_px", f"a focal length of {request.focal_px:g} px, as asked for")
        if request.fov is not None:
            matrix = centered_intrinsics(height, width, focal_from_fov(longer, request.fov))
            return PhotographCamera(matrix, "fov", f"{request.fov:g} degrees over the longer side, as asked for")
        focal = photograph.focal
        if focal.focal_px is not None:
            matrix = centered_intrinsics(height, width, focal.focal_px)
            degrees = fov_from_focal(longer, focal.focal_px)
            return PhotographCamera(matrix, "exif", f"EXIF: {focal.note}, {degrees:.0f} degrees over the longer side")
        assumed = f"assumed: {DEFAULT_FOV_DEGREES:g} degrees over the longer side"
        note = f"{assumed}; {focal.note}" if focal.note else assumed
        return PhotographCamera(default_intrinsics(height, width), "assumed", note)

    def _stated(self, table: IntrinsicsTable, path: Place, width: int, height: int) -> Float[torch.Tensor, "3 3"]:
        """The matrix that the user states for a photograph, in this one's px."""
        stated = table.find(path)
        matrix = torch.from_numpy(stated.matrix_px).float()
        if stated.size_px is None:
            return matrix
        across, down = width / stated.size_px[0], height / stated.size_px[1]
        if abs(across / down - 1.0) > _SAME_ASPECT:
            expected = f"{stated.size_px[0]:g} x {stated.size_px[1]:g} px"
            raise CameraError(
                f"{table.name} is for pictures of {expected}, this one has {width} x {height} px (upright)"
            )
        return matrix * torch.tensor([[across], [down], [1.0]])


def _plausible(matrix: Float[torch.Tensor, "3 3"], width: int, height: int) -> Float[torch.Tensor, "3 3"]:
    """Refuse what is not in px of the photograph; millimetres and shares of the width are common."""
    focal_px, down_px = float(matrix[0, 0]), float(matrix[1, 1])
    longer_px = float(max(height, width))
    degrees = fov_from_focal(longer_px, focal_px)
    if degrees not in FOV_RANGE:
        told = f"with a focal length of {focal_px:g} px a picture of {longer_px:g} px is {degrees:.3g} degrees wide"
        raise CameraError(f"{told}; state it in px of the photograph")
    if not 1.0 / _MOST_STRETCHED <= focal_px / down_px <= _MOST_STRETCHED:
        stretched = f"a picture stretched {focal_px / down_px:.3g} times"
        told = f"focal lengths of {focal_px:g} and {down_px:g} px are those of {stretched}"
        raise CameraError(f"{told}; state both in px of the photograph")
    off = math.hypot((0.5 * width - float(matrix[0, 2])) / focal_px, (0.5 * height - float(matrix[1, 2])) / down_px)
    if off > math.tan(math.radians(_FARTHEST_DEGREES)):
        told = f"a principal point at ({matrix[0, 2]:g}, {matrix[1, 2]:g}) px puts the middle of the photograph"
        degrees = math.degrees(math.atan(off))
        raise CameraError(f"{told} {degrees:.3g} degrees off the axis; state it in px of the photograph")
    return matrix
