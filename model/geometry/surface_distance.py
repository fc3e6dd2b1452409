"""Distance from points to a surface of triangles: to the nearest point of the surface, not to its nearest vertex."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from trimesh.triangles import closest_point

_FIRST_CANDIDATES = 12
"""Triangles asked for each point to begin with; nearly every point is settled by them."""


@dataclass(frozen=True)
class NearestPoints:
    """The nearest surface point of each of N points.

    Attributes:
        position_mm: Where it lies.
        distance_mm: How far away it is, 0 or more.
        face: Its triangle, an index into the faces that the surface was made of.
    """

    position_mm: Float[np.ndarray, "point 3"]
    distance_mm: Float[np.ndarray, " point"]
    face: Int[np.ndarray, " point"]


class Surface:
    """A surface of triangles that can be asked for its nearest points.

    `trimesh.proximity` needs an R-tree, which is a library of its own; here the triangles' middles lie in a k-d tree.
    A triangle reaches no further from its middle than to its farthest corner, so that an answer is known to be right
    once the triangles that were not looked at lie too far away.
    """

    def __init__(self, vertices_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> None:
        """Take the triangles; those without an area are left out, since their neighbours hold every point of them.

        Args:
            vertices_mm: Vertices in any space.
            faces: Triangles.

        Raises:
            ValueError: If no triangle has an area, or a vertex of one is not finite.
        """
        triangles = np.asarray(vertices_mm, np.float64)[faces]
        if not np.isfinite(triangles).all():
            raise ValueError("a surface with vertices that are not finite")
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        doubled_area = np.linalg.norm(normals, axis=1)
        self._faces = np.flatnonzero(doubled_area > 1e-9)
        if not len(self._faces):
            raise ValueError("a surface without a triangle that has an area")
        self._triangles = triangles[self._faces]
        self._normals = np.zeros_like(normals)
        self._normals[self._faces] = normals[self._faces] / doubled_area[self._faces, None]
        middles = self._triangles.mean(1)
        self._reach_mm = np.linalg.norm(self._triangles - middles[:, None], axis=2).max(1)
        self._tree = KDTree(middles)

    def normals(self, face: Int[np.ndarray, " point"]) -> Float[np.ndarray, "point 3"]:
        """Unit normals of triangles."""
        return self._normals[face]

    def nearest(self, points_mm: Float[np.ndarray, "point 3"], *, exact: bool = True) -> NearestPoints:
        """The nearest surface points.

        Args:
            points_mm: N points in the space of the vertices.
            exact: Go on until no triangle can be nearer. Otherwise only the triangles with the nearest middles are
                looked at, which is several times as fast and seldom wrong.
        """
        points_mm = np.asarray(points_mm, np.float64)
        count = min(_FIRST_CANDIDATES, len(self._triangles))
        away_mm, candidates = self._nearest_middles(points_mm, count)
        row = np.repeat(np.arange(len(points_mm)), count)
        best = _Best(
            np.full((len(points_mm), 3), np.nan), np.full(len(points_mm), np.inf), np.zeros(len(points_mm), int)
        )
        self._look(best, points_mm, row, candidates.ravel())
        looked_mm, reach_mm = away_mm[:, -1], self._greatest_reach(points_mm, best.distance_mm) if exact else -np.inf
        asked = np.arange(len(points_mm))
        while count < len(self._triangles):
            unsettled = looked_mm < best.distance_mm[asked] + reach_mm
            asked = asked[unsettled]
            if not len(asked):
                break
            seen, count = count, min(4 * count, len(self._triangles))
            away_mm, candidates = (part[:, seen:] for part in self._nearest_middles(points_mm[asked], count))
            looked_mm = away_mm[:, -1]
            place, column = np.nonzero(away_mm - self._reach_mm[candidates] < best.distance_mm[asked, None])
            self._look(best, points_mm, asked[place], candidates[place, column])
        return NearestPoints(best.position_mm, best.distance_mm, self._faces[best.triangle])

    def _nearest_middles(
        self, points_mm: Float[np.ndarray, "point 3"], count: int
    ) -> tuple[Float[np.ndarray, "point count"], Int[np.ndarray, "point count"]]:
        """How far away the `count` nearest middles lie, and whose they are; from near to far."""
        away_mm, candidates = self._tree.query(points_mm, k=count)
        # For a single one there is no axis.
        return np.reshape(away_mm, (-1, count)), np.reshape(candidates, (-1, count))

    def _look(
        self,
        best: "_Best",
        points_mm: Float[np.ndarray, "point 3"],
        row: Int[np.ndarray, " pair"],
        triangle: Int[np.ndarray, " pair"],
    ) -> None:
        """Look at pairs of a point and a triangle; what is nearer than the best so far takes its place."""
        position_mm = closest_point(self._triangles[triangle], points_mm[row])
        distance_mm = np.linalg.norm(position_mm - points_mm[row], axis=1)
        order = np.lexsort((distance_mm, row))
        points, first = np.unique(row[order], return_index=True)
        nearest = order[first]
        nearer = distance_mm[nearest] < best.distance_mm[points]
        points, nearest = points[nearer], nearest[nearer]
        best.position_mm[points] = position_mm[nearest]
        best.distance_mm[points] = distance_mm[nearest]
        best.triangle[points] = triangle[nearest]

    def _greatest_reach(
        self, points_mm: Float[np.ndarray, "point 3"], distance_mm: Float[np.ndarray, " point"]
    ) -> float:
        """How far a triangle that could matter to any of the points reaches from its middle.

        The back of a head has large triangles. They would keep every point of a face from being settled.
        """
        away_mm, _ = KDTree(points_mm).query(self._tree.data)
        near = away_mm - self._reach_mm <= distance_mm.max()
        return float(self._reach_mm[near].max())


class _Best(NamedTuple):
    """The nearest of what has been looked at; written to."""

    position_mm: Float[np.ndarray, "point 3"]
    distance_mm: Float[np.ndarray, " point"]
    triangle: Int[np.ndarray, " point"]
