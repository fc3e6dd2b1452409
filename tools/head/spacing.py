"""How far apart our mesh's vertices shall be: densest at eyes, nose and lips."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from model.face.assets import HeadAssets
from tools.head.regions import EARS_DENSE, near_ears

_PART_SPACING_MM = {
    "head": 9.0,
    "mouth_socket": 5.0,
    "eye_sockets": 4.0,
    "gums": 9.0,
    "teeth": 7.0,
    "left_eye_outer": 2.6,
    "right_eye_outer": 2.6,
}
_FINEST_MM, _FACE_MM, _EAR_MM, _OUTER_MM = 1.5, 3.6, 3.2, 7.0
_FINE_RADIUS_MM, _GROWTH = 7.0, 0.09
_FINE_LANDMARKS = slice(27, 68)
"""Nose, eyes and lips among the 68."""


def vertex_spacing_mm(source: HeadAssets, landmarks68_mm: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, " vertex"]:
    """Spacing wanted around each of the source's vertices, in mm; the builder keeps its ratios and meets a count.

    Args:
        source: The source head, its parts as regions.
        landmarks68_mm: The 68 landmarks on its mean.
    """
    points = source.vertices_mm
    distance = KDTree(landmarks68_mm[_FINE_LANDMARKS]).query(points)[0]
    spacing = _FINEST_MM + _GROWTH * np.maximum(distance - _FINE_RADIUS_MM, 0.0)
    spacing = np.minimum(spacing, _FACE_MM)
    y, z = points[:, 1], points[:, 2]
    # Beyond the oval of the face the surface is smooth and seen at less resolution.
    outside = np.maximum.reduce([y - 70.0, -100.0 - y, -45.0 - z])
    spacing = np.where(outside > 0.0, np.minimum(_FACE_MM + 0.1 * outside, _OUTER_MM), spacing)
    ears = near_ears(points, EARS_DENSE)
    spacing = np.where(ears, _EAR_MM, spacing)
    for part, wanted in _PART_SPACING_MM.items():
        spacing = np.where(source.regions[part] & ~ears, wanted, spacing)
    return spacing
