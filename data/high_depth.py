"""Pictures of more than 8 bits, to 8: black and white where their tags say that they are."""

import io
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _MAX_SAMPLE, _SAMPLE_FORMAT, _SMAX_SAMPLE = 256, 257, 258, 262, 281, 339, 341
_WHITE_IS_ZERO, _FLOATING_POINT = 0, 3

Tags = ImageFileDirectory_v2 | dict[int, Any]
"""The tags of a TIFF file by their numbers."""


def grey_of_high_depth(image: Image.Image, tags: Tags) -> UInt8[np.ndarray, "height width"]:
    """A picture of Pillow's with one channel of more than 8 bits (its modes I, I;16 and F) as 8 bits.

    A TIFF says by its tags how many of the bits are used, up to which value, and whether the highest is black. All
    else of 16 bits uses the whole range. Of 32 bits and floating point nothing is said of the range, and it is told
    from the largest value: 1, 255, 65535, or that value itself.

    Args:
        image: The picture.
        tags: Those of its TIFF file; none for other files.
    """
    values = np.asarray(image)
    full = _white(values, tags)
    if full is None:
        highest = values.max(initial=0)
        full = next((limit for limit in (1.0, 255.0, 65535.0) if highest <= limit), float(highest))
    share = np.clip(np.nan_to_num(values.astype(np.float64)) / full, 0.0, 1.0)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        share = 1.0 - share
    return np.round(255.0 * share).astype(np.uint8)


def _white(values: np.ndarray, tags: Tags) -> float | None:
    """The value of full brightness, where the picture says what it is."""
    if _is_floating(tags) or values.dtype.kind == "f":
        return None
    for tag in (_SMAX_SAMPLE, _MAX_SAMPLE):
        stated = _number(tags.get(tag))
        if stated is not None and stated >= max(1, int(values.max(initial=0))):
            return stated
    bits = _number(tags.get(_BITS)) or (16 if values.dtype.itemsize == 2 else None)
    return 2.0**bits - 1.0 if bits is not None and bits <= 16 else None


def _is_floating(tags: Tags) -> bool:
    return _number(tags.get(_SAMPLE_FORMAT)) == _FLOATING_POINT


def _number(value: object) -> float | None:
    """A tag's number; of several channels, the first one's."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    return float(value) if isinstance(value, int | float) else None


def unusual_tiff(content: bytes, most_pixels: int) -> Image.Image | None:
    """A TIFF with 10, 12 or 14 bits for each sample, or inverted, in a way that Pillow does not know.

    OpenCV unpacks the bits; what the tags say of them is done here.

    Args:
        content: The file.
        most_pixels: Larger ones are not decoded.

    Returns:
        The picture, upright, in 8 bits; None where this is no such file.

    Raises:
        Image.DecompressionBombError: If it has more pixels.
    """
    tags = _tiff_tags(content)
    bits = None if tags is None else _number(tags.get(_BITS))
    if tags is None or bits is None or not 8 < bits <= 16 or _is_floating(tags):
        return None
    width, height = _number(tags.get(_WIDTH)) or 0, _number(tags.get(_HEIGHT)) or 0
    if width * height > most_pixels:
        raise Image.DecompressionBombError
    # It turns a TIFF upright whatever it is asked.
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        return None
    # OpenCV puts the used bits of 10, 12 and 14 on top of its 16.
    full = (2.0**bits - 1.0) * 2.0 ** (16 - bits)
    share = np.clip(values / full, 0.0, 1.0)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        share = 1.0 - share
    pixels = np.round(255.0 * share).astype(np.uint8)
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., 2::-1])
    return Image.fromarray(pixels)


def _tiff_tags(content: bytes) -> ImageFileDirectory_v2 | None:
    """The tags of a TIFF's first picture; None where this is no TIFF."""
    if content[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = ImageFileDirectory_v2(content[:8])
    file = io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    return tags
