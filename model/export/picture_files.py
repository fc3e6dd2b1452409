"""Pictures as files."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from common.atomic import atomic_path

_QUALITY = 92


def write_jpeg(picture_srgb: UInt8[np.ndarray, "height width 3"], path: Path) -> None:
    """Write a picture that is only looked at."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture_srgb).save(temporary, "JPEG", quality=_QUALITY)
