"""Pictures as files. OpenCV encodes most: as small as Pillow's, at several times the speed, which counts at 4096 px."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from common.atomic import atomic_path

_QUALITY = 92


def write_jpeg(picture_srgb: UInt8[np.ndarray, "height width 3"], path: Path) -> None:
    """Write a picture that is only looked at."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture_srgb).save(temporary, "JPEG", quality=_QUALITY)


def write_png(picture: UInt8[np.ndarray, "height width *channel"], path: Path) -> None:
    """Write a picture without loss, of one channel, of three, or of four with how far there is something."""
    path.write_bytes(encoded_png(picture))


def encoded_png(picture: UInt8[np.ndarray, "height width *channel"]) -> bytes:
    """A PNG file, packed for speed."""
    return _encoded(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def encoded_jpeg(picture: UInt8[np.ndarray, "height width *channel"], quality: int) -> bytes:
    """A JPEG file whose colours are as fine as its brightness: a normal map has no brightness to hide them behind."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encoded(".jpg", picture, flags)


def encoded_webp(picture: UInt8[np.ndarray, "height width 4"], quality: int) -> bytes:
    """A WebP file, which, unlike a JPEG, holds how far there is something.

    Pillow's, for OpenCV cannot say how hard the encoder shall try: the least takes a fifth of the time for files that
    are two thirds larger and as good.
    """
    written = BytesIO()
    Image.fromarray(picture).save(written, "WEBP", quality=quality, method=0)
    return written.getvalue()


def _encoded(kind: str, picture: UInt8[np.ndarray, "height width *channel"], flags: list[int]) -> bytes:
    # OpenCV takes blue first.
    pixels = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., [2, 1, 0, 3][: picture.shape[2]]])
    done, content = cv2.imencode(kind, pixels, flags)
    assert done, f"OpenCV cannot write {kind}"
    return content.tobytes()
