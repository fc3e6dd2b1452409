"""Regions of our head by name, symmetric because they are cut by |x|, height and depth alone."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from skimage.measure import points_in_poly

_LIP_GROWTH = 1.05
"""The outline through the lips' landmarks cuts their curves short."""


def head_regions(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    parts: dict[str, Bool[np.ndarray, " vertex"]],
    landmarks68_mm: Float[np.ndarray, "68 3"],
) -> dict[str, Bool[np.ndarray, " vertex"]]:
    """Masks by name.

    Args:
        vertices_mm: Mean head.
        parts: What the source says: `face`, `head`, `mouth_socket`, `eye_sockets`, `gums`, `tongue`, `teeth`, `eyes`.
        landmarks68_mm: The 68 landmarks, symmetric.

    Returns:
        `skin` and its parts `face` (forehead to chin, without ears), `ears`, `scalp`, `neck`, `lips`, `eyelids`,
        `nose`; `eyes`, `left_eye`, `right_eye` (eyeballs), `eye_sockets`; `mouth_inner`, `teeth`, `tongue`.
    """
    x, y, z = vertices_mm.T
    across = np.abs(x)
    skin = parts["face"] | parts["head"]
    ears = skin & (across > 70.0) & (z < -52.0) & (y > -60.0) & (y < 25.0)
    frontal = parts["face"] & (across < 76.0) & (y < 75.0) & (y > -118.0) & (z > -55.0)
    outline = landmarks68_mm[48:60, :2]
    outline = outline.mean(0) + _LIP_GROWTH * (outline - outline.mean(0))
    return {
        "skin": skin,
        "face": frontal & ~ears,
        "ears": ears,
        "scalp": skin & ~ears & ((y > 75.0) | ((z < -90.0) & (y > -20.0))),
        "neck": skin & (y < -115.0),
        "lips": skin & points_in_poly(vertices_mm[:, :2], outline) & (z > 0.0),
        "eyelids": skin & (_distance(vertices_mm, landmarks68_mm[36:48]) < 8.0),
        "nose": skin & (_distance(vertices_mm, landmarks68_mm[27:36]) < 11.0),
        "eyes": parts["eyes"],
        "left_eye": parts["eyes"] & (x > 0.0),
        "right_eye": parts["eyes"] & (x < 0.0),
        "eye_sockets": parts["eye_sockets"],
        "mouth_inner": parts["mouth_socket"] | parts["gums"],
        "teeth": parts["teeth"],
        "tongue": parts["tongue"],
    }


def _distance(
    points: Float[np.ndarray, "vertex 3"], targets: Float[np.ndarray, "target 3"]
) -> Float[np.ndarray, " vertex"]:
    return KDTree(targets).query(points)[0]
