"""What is asked of a photograph's pixels on both sides of the house."""

import numpy as np
from jaxtyping import UInt8

GREY_DIFFERENCE = 3.0
"""Mean difference of a pixel's channels, of 255 levels, up to which a photograph is a grey one."""


def has_color(image_srgb: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether a photograph has colour; a grey one may be stored in three channels that compression made to differ."""
    step = max(1, min(image_srgb.shape[:2]) // 64)
    sparse = image_srgb[::step, ::step].astype(np.int16)
    return float((sparse.max(axis=2) - sparse.min(axis=2)).mean()) > GREY_DIFFERENCE
