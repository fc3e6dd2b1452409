"""What EXIF data say of the lens: the focal length of a camera for 35 mm film that would see as much."""

import math
from dataclasses import dataclass

from PIL import Image

_EXIF, _FOCAL_35MM, _PIXELS_X, _PIXELS_Y = 0x8769, 0xA405, 0xA002, 0xA003

_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""The tag compares diagonals (CIPA DCG-001): that of the whole sensor with that of a picture on 35 mm film."""

_LEAST_ASPECT, _MOST_ASPECT = 4.0 / 3.0, 3.0 / 2.0
"""Sensors are 4:3 (telephones, Micro Four Thirds) or 3:2 (most others); what is narrower or wider was cut from one."""

_SAME_ASPECT = 0.02
_PLAUSIBLE_MM = (5.0, 3000.0)


@dataclass(frozen=True)
class ExifFocal:
    """The focal length that EXIF data state.

    Attributes:
        focal_px: In px of the photograph; None where nothing usable is stated.
        note: What is stated, or why it is not used; empty where nothing is stated.
    """

    focal_px: float | None = None
    note: str = ""


def focal_from_exif(image: Image.Image) -> ExifFocal:
    """Read the tag `FocalLengthIn35mmFilm` of a picture of Pillow's.

    It speaks of the whole sensor. A picture that is narrower than 4:3 or wider than 3:2 is taken for the middle of
    one that is not, its longer or shorter side kept. A picture whose sides are in another proportion than EXIF says
    it was taken in was cut by hand, and nobody knows how much of the view is left: the tag is not used then.
    """
    try:
        tags = image.getexif().get_ifd(_EXIF)
        focal_mm = float(tags.get(_FOCAL_35MM) or 0.0)
        taken = sorted(float(tags.get(tag) or 0.0) for tag in (_PIXELS_X, _PIXELS_Y))
    # Broken EXIF data come from many programs; what they would say is unknown then.
    except Exception:
        return ExifFocal()
    if not _PLAUSIBLE_MM[0] <= focal_mm <= _PLAUSIBLE_MM[1]:
        return ExifFocal()
    shorter, longer = sorted(image.size)
    stated = f"{focal_mm:g} mm on 35 mm film"
    if taken[0] > 0.0 and abs(math.log(taken[1] / taken[0] / (longer / shorter))) > _SAME_ASPECT:
        told = f"EXIF's {stated} is not used: the picture of {taken[1]:g} x {taken[0]:g} px has been cut since"
        return ExifFocal(None, told)
    aspect = min(max(longer / shorter, _LEAST_ASPECT), _MOST_ASPECT)
    # The whole sensor in px of this picture: its longer side was cut where the picture is narrow, else its shorter.
    sensor_longer = max(longer, shorter * aspect)
    diagonal_px = math.hypot(sensor_longer, sensor_longer / aspect)
    return ExifFocal(focal_mm * diagonal_px / _FILM_DIAGONAL_MM, stated)
