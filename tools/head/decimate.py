"""Thin a mesh by half-edge collapses: every vertex that stays is one of the input's.

Order of collapses: edge length over the spacing wanted there, plus the quadric error (Garland & Heckbert,
"Surface Simplification Using Quadric Error Metrics", SIGGRAPH 1997) of leaving the surface. Borders, the mid-line and
texture seams keep their course: their vertices move along them only.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from tools.head.half_mesh import HalfMesh

_FLATNESS = 0.08
"""Distance from the old surface, as a share of the spacing wanted, that costs as much as a full spacing."""
_WORST_SHAPE = 0.12
"""Least shape of a new triangle, 1 being equilateral."""
_WORST_TURN = 0.5
"""Least cosine between a triangle's normal before and after."""
_WORST_UV_SHRINK = 0.02
"""Least shape of a new triangle in the texture; negative would be folded over."""


@dataclass(frozen=True)
class _Collapse:
    removed: int
    kept: int
    uv: dict[int, int]
    """Texture vertices of the removed vertex and what they become."""


class Decimator:
    """A half mesh while it is thinned."""

    def __init__(self, mesh: HalfMesh, spacing_mm: Float[np.ndarray, " vertex"]) -> None:
        """Take the mesh and the spacing of vertices wanted around each of them; only its ratios count."""
        self._points = mesh.vertices_mm
        self._uv = mesh.uv
        self._middle = mesh.middle
        self._spacing = spacing_mm
        self._faces: dict[int, tuple[int, int, int]] = {k: tuple(row) for k, row in enumerate(mesh.faces.tolist())}
        self._uv_faces: dict[int, tuple[int, int, int]] = {k: tuple(r) for k, r in enumerate(mesh.uv_faces.tolist())}
        self._around: dict[int, set[int]] = {}
        for face, corners in self._faces.items():
            for vertex in corners:
                self._around.setdefault(vertex, set()).add(face)
        self._planes = _plane_quadrics(mesh.vertices_mm, mesh.faces)
        self._plane_weight = _twice_areas_around(mesh.vertices_mm, mesh.faces)

    def run(self, target: int) -> tuple[Int[np.ndarray, "face 3"], Int[np.ndarray, "face 3"]]:
        """Collapse until `target` vertices are left or nothing more may be collapsed.

        Returns:
            Triangles and texture triangles, in the input's indices.
        """
        heap: list[tuple[float, int, int]] = []
        for vertex in self._around:
            self._push(heap, vertex)
        while len(self._around) > target and heap:
            cost, removed, kept = heapq.heappop(heap)
            if removed not in self._around or kept not in self._around:
                continue
            collapse = self._legal(removed, kept)
            if collapse is None or self._cost(removed, kept) > cost + 1e-9:
                continue
            self._apply(collapse)
            for vertex in {kept, *self._neighbours(kept)}:
                self._push(heap, vertex)
        order = sorted(self._faces)
        return np.array([self._faces[k] for k in order]), np.array([self._uv_faces[k] for k in order])

    def _push(self, heap: list[tuple[float, int, int]], vertex: int) -> None:
        for other in self._neighbours(vertex):
            heapq.heappush(heap, (self._cost(vertex, other), vertex, other))

    def _neighbours(self, vertex: int) -> set[int]:
        return {corner for face in self._around[vertex] for corner in self._faces[face]} - {vertex}

    def _cost(self, removed: int, kept: int) -> float:
        spacing = min(self._spacing[removed], self._spacing[kept])
        length = np.linalg.norm(self._points[removed] - self._points[kept]) / spacing
        place = np.append(self._points[kept], 1.0)
        error = place @ self._planes[removed] @ place / max(self._plane_weight[removed], 1e-9)
        return float(length**2 + max(error, 0.0) / (_FLATNESS * spacing) ** 2)

    def _legal(self, removed: int, kept: int) -> _Collapse | None:
        shared = self._around[removed] & self._around[kept]
        if len(self._neighbours(removed) & self._neighbours(kept)) != len(shared):
            return None
        if not self._keeps_border(removed, kept, len(shared)):
            return None
        uv = self._uv_after(removed, kept, shared)
        if uv is None:
            return None
        collapse = _Collapse(removed, kept, uv)
        return collapse if self._keeps_shape(collapse, shared) else None

    def _border_edges(self, vertex: int) -> list[int]:
        count: dict[int, int] = {}
        for face in self._around[vertex]:
            for corner in self._faces[face]:
                if corner != vertex:
                    count[corner] = count.get(corner, 0) + 1
        return [corner for corner, faces in count.items() if faces == 1]

    def _keeps_border(self, removed: int, kept: int, shared: int) -> bool:
        border = self._border_edges(removed)
        if not border:
            return True
        if shared != 1 or len(border) != 2:
            return False
        # A vertex where the mid-line meets another border is the corner of both and stays.
        return len({bool(self._middle[removed] and self._middle[other]) for other in border}) == 1

    def _uv_after(self, removed: int, kept: int, shared: set[int]) -> dict[int, int] | None:
        becomes: dict[int, int] = {}
        for face in shared:
            corners = self._faces[face]
            start = self._uv_faces[face][corners.index(removed)]
            end = self._uv_faces[face][corners.index(kept)]
            if becomes.setdefault(start, end) != end:
                return None
        used = {self._uv_faces[face][self._faces[face].index(removed)] for face in self._around[removed]}
        return becomes if used <= set(becomes) else None

    def _keeps_shape(self, collapse: _Collapse, shared: set[int]) -> bool:
        for face in self._around[collapse.removed] - shared:
            corners, uv = self._faces[face], self._uv_faces[face]
            where = corners.index(collapse.removed)
            before = self._points[list(corners)]
            after = before.copy()
            after[where] = self._points[collapse.kept]
            normal, new_normal = normal_of(before), normal_of(after)
            size = np.linalg.norm(normal) * np.linalg.norm(new_normal)
            if normal @ new_normal < _WORST_TURN * size or _shape(after) < min(_WORST_SHAPE, _shape(before)):
                return False
            flat, new_flat = self._uv[list(uv)], self._uv[list(uv)]
            new_flat[where] = self._uv[collapse.uv[uv[where]]]
            if signed_area(flat) * signed_area(new_flat) <= 0.0 or abs(_uv_shape(new_flat)) < _WORST_UV_SHRINK:
                return False
        return True

    def _apply(self, collapse: _Collapse) -> None:
        removed, kept = collapse.removed, collapse.kept
        for face in list(self._around[removed]):
            corners = self._faces[face]
            if kept in corners:
                for corner in corners:
                    self._around[corner].discard(face)
                del self._faces[face], self._uv_faces[face]
                continue
            where = corners.index(removed)
            self._faces[face] = _with(corners, where, kept)
            self._uv_faces[face] = _with(self._uv_faces[face], where, collapse.uv[self._uv_faces[face][where]])
            self._around[kept].add(face)
        del self._around[removed]
        self._planes[kept] += self._planes[removed]
        self._plane_weight[kept] += self._plane_weight[removed]


def _with(row: tuple[int, int, int], where: int, value: int) -> tuple[int, int, int]:
    changed = list(row)
    changed[where] = value
    return changed[0], changed[1], changed[2]


def normal_of(triangle: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Normal of a triangle, twice its area long."""
    first, second = triangle[1] - triangle[0], triangle[2] - triangle[0]
    return np.array(
        [
            first[1] * second[2] - first[2] * second[1],
            first[2] * second[0] - first[0] * second[2],
            first[0] * second[1] - first[1] * second[0],
        ]
    )


def _shape(triangle: Float[np.ndarray, "3 3"]) -> float:
    """4 sqrt(3) area over the sum of squared sides: 1 for equilateral, 0 for degenerate."""
    squared = ((triangle - np.roll(triangle, 1, axis=0)) ** 2).sum()
    return float(2.0 * np.sqrt(3.0) * np.linalg.norm(normal_of(triangle)) / max(squared, 1e-12))


def _uv_shape(triangle: Float[np.ndarray, "3 2"]) -> float:
    squared = ((triangle - np.roll(triangle, 1, axis=0)) ** 2).sum()
    return float(4.0 * np.sqrt(3.0) * signed_area(triangle) / max(squared, 1e-18))


def signed_area(triangles: Float[np.ndarray, "*lead 3 2"]) -> Float[np.ndarray, "*lead"]:
    """Areas in the plane, positive counter-clockwise."""
    first, second = triangles[..., 1, :] - triangles[..., 0, :], triangles[..., 2, :] - triangles[..., 0, :]
    return 0.5 * (first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])


def _plane_quadrics(
    points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, "vertex 4 4"]:
    """Sums of the plane quadrics of the triangles around each vertex, weighted by twice their areas."""
    corners = points[faces]
    normals, twice_area = _normals_and_twice_areas(corners)
    planes = np.concatenate([normals, -(normals * corners[:, 0]).sum(1, keepdims=True)], axis=1)
    per_face = twice_area[:, None, None] * (planes[:, :, None] * planes[:, None, :])
    return _summed_at_vertices(per_face, faces, len(points))


def _twice_areas_around(
    points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, " vertex"]:
    """Sums of twice the areas of the triangles around each vertex: the weights in `_plane_quadrics`."""
    return _summed_at_vertices(_normals_and_twice_areas(points[faces])[1], faces, len(points))


def _normals_and_twice_areas(
    corners: Float[np.ndarray, "face 3 3"],
) -> tuple[Float[np.ndarray, "face 3"], Float[np.ndarray, " face"]]:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.linalg.norm(normals, axis=1)
    return normals / np.maximum(twice_area, 1e-12)[:, None], twice_area


def _summed_at_vertices(
    per_face: Float[np.ndarray, "face *shape"], faces: Int[np.ndarray, "face 3"], count: int
) -> Float[np.ndarray, "vertex *shape"]:
    summed = np.zeros((count, *per_face.shape[1:]))
    for corner in range(3):
        np.add.at(summed, faces[:, corner], per_face)
    return summed
