"""What the user says of the camera; checked before anything large is loaded."""

from dataclasses import dataclass
from pathlib import Path

from common.ranges import POSITIVE, Range

FOV_RANGE = Range(0.1, 150.0)
"""Degrees over the longer side of a photograph: beyond it no lens is a pinhole, and below it lies no face."""


class CameraError(ValueError):
    """A camera that is none, or not that of a photograph; the message is for the user."""


@dataclass(frozen=True)
class CameraRequest:
    """The camera's part of a command line: one of these at most.

    Attributes:
        fov: Field of view in degrees over the longer side of each photograph.
        focal_px: Focal length in px of the photographs.
        intrinsics: File with the camera matrix of all photographs, or of each by its name.
    """

    fov: float | None = None
    focal_px: float | None = None
    intrinsics: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        given = [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: the camera is said once; leave out all but one")
        if self.fov is not None and self.fov not in FOV_RANGE:
            raise ValueError(f"--fov is {self.fov}: expected degrees over the longer side, {FOV_RANGE}")
        if self.focal_px is not None and self.focal_px not in POSITIVE:
            raise ValueError(f"--focal-px is {self.focal_px}: expected {POSITIVE}")

    @property
    def given(self) -> bool:
        """Whether the user says anything."""
        return any(value is not None for value in vars(self).values())
