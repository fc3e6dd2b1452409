"""Regions of our head by name, symmetric because they are cut by |x|, height and depth alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from skimage.measure import points_in_poly

_LIP_GROWTH = 1.05
"""The outline through the lips' landmarks cuts their curves short."""


@dataclass(frozen=True)
class EarBox:
    """A box around either ear, open outwards and backwards, in mm.

    Attributes:
        inner_mm: Least |x|.
        front_mm: Largest z.
        bottom_mm: Least y.
        top_mm: Largest y.
    """

    inner_mm: float
    front_mm: float
    bottom_mm: float
    top_mm: float


EARS = EarBox(inner_mm=70.0, front_mm=-52.0, bottom_mm=-60.0, top_mm=25.0)
"""The ears themselves: the region `ears`."""
EARS_DENSE = EarBox(inner_mm=68.0, front_mm=-50.0, bottom_mm=-62.0, top_mm=28.0)
"""A little wider: where vertices are set as dense as an ear's folds need (`tools/head/spacing.py`)."""
EARS_NOT_EVENED = EarBox(inner_mm=66.0, front_mm=-48.0, bottom_mm=-68.0, top_mm=32.0)
"""Wider still: where vertices stay as thinning left them, on the source's own edge lines (`tools/build_head.py`)."""


def near_ears(points_mm: Float[np.ndarray, "point 3"], box: EarBox) -> Bool[np.ndarray, " point"]:
    """Points in the box of either ear."""
    across, y, z = np.abs(points_mm[:, 0]), points_mm[:, 1], points_mm[:, 2]
    return (across > box.inner_mm) & (z < box.front_mm) & (y > box.bottom_mm) & (y < box.top_mm)


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
    ears = skin & near_ears(vertices_mm, EARS)
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
