"""Reading a photograph at places of a head, as it is or in linear light, and writing linear light down again."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from model.look.face_result import FaceResult
from model.render.color import linear_to_srgb, srgb_to_linear

LINEAR_OF_BYTE = srgb_to_linear(torch.arange(256) / 255.0).numpy()
"""Linear light of each byte of sRGB."""
_STEPS = 1 << 14
BYTE_OF_ROOT = np.rint(255.0 * linear_to_srgb((torch.arange(_STEPS) / (_STEPS - 1)) ** 2).numpy()).astype(np.uint8)
"""By the square root of the linear value, which takes evenly fine steps in what is seen."""
_ROW = 4096


def linear_of(srgb: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Linear light of bytes."""
    return LINEAR_OF_BYTE[srgb]


def bytes_of(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Bytes of linear light; what is beyond [0, 1] is clipped. By a table: a power for each texel takes a second."""
    root = np.sqrt(np.clip(linear, 0.0, 1.0))
    root *= _STEPS - 1
    root += 0.5
    return BYTE_OF_ROOT[root.astype(np.int16)]


def sample_photograph(
    photograph_srgb: UInt8[np.ndarray, "height width 3"], points_px: Float[np.ndarray, "place 2"]
) -> Float[np.ndarray, "place 3"]:
    """Colours in [0, 1], sRGB, at points, bilinear; beyond the border its nearest pixel's."""
    return _remapped(photograph_srgb, points_px).astype(np.float32) / 255.0


def sample_mask(
    mask: Float[np.ndarray, "height width"], points_px: Float[np.ndarray, "place 2"]
) -> Float[np.ndarray, " place"]:
    """Values of a mask of the photograph at points, as `sample_photograph` does with colours."""
    return _remapped(mask, points_px)[:, 0]


def sample_softened(
    result: FaceResult, photograph_srgb: UInt8[np.ndarray, "height width 3"], radius_mm: float
) -> Float[np.ndarray, "vertex 3"]:
    """The photograph at the vertices in linear light, blurred by a Gaussian of a radius on the face.

    A vertex stands for the few millimetres around it: unblurred, it would stand for one hair or pore.
    """
    points_px = result.vertices_image[:, :2]
    size = np.array(photograph_srgb.shape[1::-1])
    lowest = np.clip(np.floor(points_px.min(0)).astype(int) - 2, 0, size - 2)
    highest = np.clip(np.ceil(points_px.max(0)).astype(int) + 2, lowest + 2, size)
    cut = linear_of(photograph_srgb[lowest[1] : highest[1], lowest[0] : highest[0]])
    px_per_mm = float(result.intrinsics_px[0, 0]) / max(float(np.median(result.vertices_image[:, 2])), 1.0)
    scale = min(1.0, 2.0 / (px_per_mm * radius_mm))
    if scale < 1.0:
        small = np.maximum(np.ceil(scale * (highest - lowest)).astype(int), 2)
        cut = cv2.resize(cut, (int(small[0]), int(small[1])), interpolation=cv2.INTER_AREA)
    sigma_px = radius_mm * px_per_mm * scale
    if sigma_px > 0.4:
        cut = cv2.GaussianBlur(cut, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    scales = np.array(cut.shape[1::-1]) / (highest - lowest)
    return _remapped(cut, (points_px - lowest) * scales)


def _remapped(picture: np.ndarray, points_px: Float[np.ndarray, "point 2"]) -> np.ndarray:
    # Pixel centres lie at halves; pictures of more than 32767 rows cannot be drawn, so points fill rows of a table.
    rows = max(-(-len(points_px) // _ROW), 1)
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[: len(points_px)] = points_px
    padded -= 0.5
    grid = padded.reshape(rows, _ROW, 2)
    drawn = cv2.remap(picture, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return drawn.reshape(rows * _ROW, -1)[: len(points_px)]
