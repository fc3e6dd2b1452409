"""Points on a triangle mesh: nearest points on triangles or on edge paths, as face index and barycentric weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from model.face.assets import HeadAssets

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


@dataclass(frozen=True)
class SurfacePoints:
    """L points fixed on a mesh.

    Attributes:
        face: Triangle of each point.
        barycentric: Weights of its corners, >= 0, each row sums to 1.
    """

    face: Int[np.ndarray, " point"]
    barycentric: Float[np.ndarray, "point 3"]

    def evaluate(self, attributes: Float[np.ndarray, "*lead vertex channel"], faces: Int[np.ndarray, "face 3"]):
        """Any per-vertex attribute at the points, (*lead, point, channel)."""
        corners = attributes[..., faces[self.face], :]
        return np.einsum("...pcx,pc->...px", corners, self.barycentric).astype(np.float32)


def nearest_on_surface(
    points: Float[np.ndarray, "point 3"],
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    allowed_faces: Int[np.ndarray, " allowed"],
    neighbours: int = 48,
) -> SurfacePoints:
    """Project points onto a part of a mesh.

    Args:
        points: Any points.
        vertices: The mesh.
        faces: Its triangles.
        allowed_faces: Indices of the triangles that may be hit.
        neighbours: Triangles tried per point, nearest centroids first (enough where triangles are of like size).

    Returns:
        The nearest points.
    """
    triangles = vertices[faces[allowed_faces]].astype(np.float64)
    count = min(neighbours, len(triangles))
    candidates = KDTree(triangles.mean(1)).query(points, k=count)[1].reshape(len(points), count)
    repeated = np.repeat(points.astype(np.float64), count, axis=0)
    hits = trimesh.triangles.closest_point(triangles[candidates.ravel()], repeated).reshape(len(points), count, 3)
    best = np.linalg.norm(hits - points[:, None], axis=2).argmin(1)
    rows = np.arange(len(points))
    chosen = candidates[rows, best]
    weights = trimesh.triangles.points_to_barycentric(triangles[chosen], hits[rows, best])
    weights = np.nan_to_num(weights, nan=1.0 / 3.0).clip(0.0, 1.0)
    weights /= weights.sum(1, keepdims=True)
    return SurfacePoints(allowed_faces[chosen], weights.astype(np.float32))


def symmetric_points(
    head: HeadAssets,
    points_mm: np.ndarray,
    mirror: Int[np.ndarray, " point"],
    project: Callable[[Float[np.ndarray, "point 3"]], SurfacePoints],
) -> SurfacePoints:
    """Project the points, then put every second partner where the first one's mirror image lies.

    By the head's mirror table where both halves are triangulated alike, else by projection. Points that are their own
    partners go onto edges in the plane of symmetry.
    """
    placed = project(points_mm)
    face, weights = placed.face.copy(), placed.barycentric.copy()
    second = np.flatnonzero(mirror < np.arange(len(mirror)))
    first = mirror[second]
    goal = placed.evaluate(head.vertices_mm, head.faces)
    goal[second] = goal[first] * _FLIP
    again = project(goal)
    face[second], weights[second] = again.face[second], again.barycentric[second]
    table = {tuple(sorted(corners)): index for index, corners in enumerate(head.faces.tolist())}
    for point, partner in zip(first, second, strict=True):
        corners = head.mirror[head.faces[placed.face[point]]].tolist()
        found = table.get(tuple(sorted(corners)))
        if found is not None:
            face[partner] = found
            weights[partner] = placed.barycentric[point][[corners.index(c) for c in head.faces[found].tolist()]]
    middle = np.flatnonzero(mirror == np.arange(len(mirror)))
    on_middle = head.mirror[head.faces] == head.faces
    corner_pairs = [(0, 1), (1, 2), (2, 0)]
    edges = np.concatenate([head.faces[on_middle[:, [a, b]].all(1)][:, [a, b]] for a, b in corner_pairs])
    if len(edges):
        between = nearest_on_edges(goal[middle], edges, head.vertices_mm, head.faces)
        face[middle], weights[middle] = between.face, between.barycentric
    return SurfacePoints(face, weights)


def edge_path(
    waypoints: Int[np.ndarray, " waypoint"], vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Int[np.ndarray, " path"]:
    """Shortest walk along mesh edges through the given vertices in order (give the first again to close it)."""
    graph = _edge_graph(vertices, faces)
    starts, ends = waypoints[:-1], waypoints[1:]
    parents = dijkstra(graph, directed=False, indices=starts, return_predecessors=True)[1]
    path: list[int] = []
    for row, end in enumerate(ends):
        step, piece = int(end), []
        while step >= 0:
            piece.append(step)
            step = int(parents[row, step])
        path += piece[::-1][:-1]
    return np.array([*path, int(waypoints[-1])])


def nearest_on_path(
    points: Float[np.ndarray, "point 3"],
    path: Int[np.ndarray, " path"],
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
) -> SurfacePoints:
    """Project points onto a walk along mesh edges: a lid margin, the border of the lips."""
    return nearest_on_edges(points, np.stack([path[:-1], path[1:]], axis=1), vertices, faces)


def nearest_on_edges(
    points: Float[np.ndarray, "point 3"],
    edges: Int[np.ndarray, "edge 2"],
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
) -> SurfacePoints:
    """Project points onto some of the mesh's edges."""
    start, end = vertices[edges[:, 0]], vertices[edges[:, 1]]
    along = end - start
    share = ((points[:, None] - start) * along).sum(2) / np.maximum((along**2).sum(1), 1e-9)
    share = share.clip(0.0, 1.0)
    hits = start + share[..., None] * along
    best = np.linalg.norm(hits - points[:, None], axis=2).argmin(1)
    face_index, weights = np.empty(len(points), np.int64), np.zeros((len(points), 3), np.float32)
    for row, segment in enumerate(best):
        first, second = edges[segment]
        touching = np.flatnonzero((faces == first).any(1) & (faces == second).any(1))[0]
        face_index[row] = touching
        weights[row, faces[touching] == first] = 1.0 - share[row, segment]
        weights[row, faces[touching] == second] = share[row, segment]
    return SurfacePoints(face_index, weights)


def _edge_graph(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> csr_matrix:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1) + 1e-6
    return csr_matrix((lengths, (edges[:, 0], edges[:, 1])), shape=(len(vertices), len(vertices)))
