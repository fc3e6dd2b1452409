"""From a place in the texture to a place on the surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

_CANDIDATES = 24


@dataclass(frozen=True)
class TexturePlace:
    """A point of the surface.

    Attributes:
        face: Its triangle.
        weights: Barycentric weights of the triangle's corners, >= 0, sum 1.
        inside: False where the texture point lies off the surface; then this is the nearest triangle's.
    """

    face: int
    weights: Float[np.ndarray, " 3"]
    inside: bool


class TextureLookup:
    """Point location in a texture whose triangles do not overlap."""

    def __init__(self, uv: Float[np.ndarray, "texture 2"], uv_faces: Int[np.ndarray, "face 3"]) -> None:
        """Take texture vertices and triangles."""
        self._triangles = uv[uv_faces].astype(np.float64)
        self._tree = KDTree(self._triangles.mean(1))

    def locate(self, point: Float[np.ndarray, " 2"]) -> TexturePlace:
        """The place at a texture point."""
        near = np.atleast_1d(self._tree.query(point, k=min(_CANDIDATES, len(self._triangles)))[1])
        corners = self._triangles[near]
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        offset = point - corners[:, 0]
        whole = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        one = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / whole
        two = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / whole
        weights = np.stack((1.0 - one - two, one, two), axis=1)
        best = int(weights.min(1).argmax())
        kept = weights[best].clip(0.0)
        return TexturePlace(int(near[best]), kept / kept.sum(), bool(weights[best].min() > -1e-6))
