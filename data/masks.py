"""Where the skin of the face can be expected in a crop, from its landmarks. Robust losses do the rest."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from data.landmarks import INNER_LIPS, LEFT_BROW, LEFT_EYE, NOSE_BRIDGE, RIGHT_BROW, RIGHT_EYE

FOREHEAD_OVER_NOSE = 0.75
"""How far the forehead reaches above the brows, in lengths of brow to nose tip: below most hair lines."""

EYE_WEIGHT = 0.5
"""Eyes are no skin, but their colour and gaze are part of the picture that is rendered."""

_SHIFT_BITS = 4


def skin_mask(points_px: Float[np.ndarray, "68 dimension"], size: int) -> Float32[np.ndarray, "size size"]:
    """The face within all points and the forehead: 1 on skin, `EYE_WEIGHT` on the eyes, 0 in the mouth and outside.

    Args:
        points_px: iBUG's points in crop px; columns beyond x and y are not used.
        size: Side of the crop.
    """
    points = points_px[:, :2]
    mask = np.zeros((size, size), np.float32)
    brows = points[np.concatenate((RIGHT_BROW, LEFT_BROW))]
    # Up, in the image, is from the tip of the nose to the bridge between the eyes, whatever the head's roll.
    up = points[NOSE_BRIDGE[0]] - points[NOSE_BRIDGE[-1]]
    forehead = brows + FOREHEAD_OVER_NOSE * up
    # All points: in a profile, nose and mouth lie outside of jaw and brows.
    outline = cv2.convexHull(np.concatenate((points, forehead)).astype(np.float32))[:, 0]
    _fill(mask, outline, 1.0)
    for eye in (RIGHT_EYE, LEFT_EYE):
        _fill(mask, points[eye], EYE_WEIGHT)
    _fill(mask, points[INNER_LIPS], 0.0)
    return mask


def central_mask(matrix: Float[np.ndarray, "2 3"], size: int) -> Float32[np.ndarray, "size size"]:
    """The same for a face without landmarks: an ellipse where a crop window has its face.

    Args:
        matrix: Affine matrix from the unit square of the window (0..1 from its upper left corner) to crop px.
        size: Side of the crop.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    ellipse = np.stack((0.5 + 0.25 * np.cos(angle), 0.53 + 0.33 * np.sin(angle)), axis=1)
    mask = np.zeros((size, size), np.float32)
    _fill(mask, ellipse @ matrix[:, :2].T + matrix[:, 2], 1.0)
    return mask


def _fill(mask: Float32[np.ndarray, "size size"], outline_px: Float[np.ndarray, "point 2"], value: float) -> None:
    """Draw a polygon; pixel centres lie at (0.5, 0.5)."""
    # OpenCV's fixed-point coordinates overflow far outside the picture.
    corners = np.clip(outline_px - 0.5, -4.0 * len(mask), 5.0 * len(mask))
    fixed = np.round(corners * (1 << _SHIFT_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], value, lineType=cv2.LINE_8, shift=_SHIFT_BITS)
