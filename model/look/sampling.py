"""Colours of a photograph at places between its pixels."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_ROW = 4096


def sample_photograph(
    photograph_srgb: UInt8[np.ndarray, "height width 3"], points_px: Float[np.ndarray, "place 2"]
) -> Float[np.ndarray, "place 3"]:
    """Colours in [0, 1] at points, bilinear; beyond the border its nearest pixel's."""
    points = points_px.astype(np.float32) - 0.5
    rows = max(-(-len(points) // _ROW), 1)
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[: len(points)] = points
    grid = padded.reshape(rows, _ROW, 2)
    drawn = cv2.remap(photograph_srgb, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return drawn.reshape(-1, 3)[: len(points)].astype(np.float32) / 255.0
