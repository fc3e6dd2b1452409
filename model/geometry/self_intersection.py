"""Triangles of a mesh that cut one another."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

_SMALL = 97.0
"""Per cent of the triangles that are looked for among one another at one distance; the larger ones by their own."""
_INSIDE = 1e-9


def intersecting_pairs(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Int[np.ndarray, "pair 2"]:
    """Pairs of triangles without a common corner, an edge of one of which goes through the other; smaller number first.

    Triangles that merely touch, or lie in one plane, do not count.
    """
    corners = vertices[faces].astype(np.float64)
    pairs = _near(corners)
    shared = (faces[pairs[:, 0], :, None] == faces[pairs[:, 1], None, :]).any((1, 2))
    pairs = pairs[~shared]
    low, high = corners.min(1), corners.max(1)
    one, other = pairs.T
    pairs = pairs[((low[one] <= high[other]) & (low[other] <= high[one])).all(1)]
    cut = np.zeros(len(pairs), bool)
    for edges, through in (pairs.T, pairs.T[::-1]):
        for start in range(3):
            cut |= _crosses(corners[edges, start], corners[edges, (start + 1) % 3], corners[through])
    return pairs[cut]


def _near(corners: Float[np.ndarray, "face 3 3"]) -> Int[np.ndarray, "pair 2"]:
    """Pairs of triangles whose circles about their middles meet."""
    middles = corners.mean(1)
    radius = np.linalg.norm(corners - middles[:, None], axis=-1).max(1)
    usual = float(np.percentile(radius, _SMALL))
    small, large = np.flatnonzero(radius <= usual), np.flatnonzero(radius > usual)
    found = [small[KDTree(middles[small]).query_pairs(2.0 * usual, output_type="ndarray")]]
    if len(large):
        everything = KDTree(middles)
        for number, others in zip(
            large, everything.query_ball_point(middles[large], radius[large] + radius.max()), strict=True
        ):
            # A pair of two large ones is found from both sides.
            kept = np.array([one for one in others if one != number and (radius[one] <= usual or one > number)], int)
            found.append(np.stack((np.full(len(kept), number), kept), axis=-1))
    pairs = np.sort(np.concatenate(found).reshape(-1, 2), axis=1)
    reach = radius[pairs].sum(1)
    return pairs[np.linalg.norm(middles[pairs[:, 0]] - middles[pairs[:, 1]], axis=1) < reach]


def _crosses(
    start: Float[np.ndarray, "pair 3"], end: Float[np.ndarray, "pair 3"], triangle: Float[np.ndarray, "pair 3 3"]
) -> np.ndarray:
    """Whether a line from start to end goes through a triangle (Moller and Trumbore, 1997)."""
    along, one, other = end - start, triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    across = np.cross(along, other)
    volume = (one * across).sum(1)
    safe = np.where(np.abs(volume) < _INSIDE, 1.0, volume)
    from_corner = start - triangle[:, 0]
    u = (from_corner * across).sum(1) / safe
    turned = np.cross(from_corner, one)
    v = (along * turned).sum(1) / safe
    share = (other * turned).sum(1) / safe
    inside = (u > _INSIDE) & (v > _INSIDE) & (u + v < 1.0 - _INSIDE)
    return (np.abs(volume) >= _INSIDE) & inside & (share > _INSIDE) & (share < 1.0 - _INSIDE)
