"""Even out a thinned mesh: turn edges towards Delaunay, slide vertices over the surface they were taken from.

Sliding happens in the texture plane, where the source's surface is flat and one-to-one, so that a vertex can never
jump to another sheet (a lid, the inside of a lip); its place is kept as a barycentric point of the source.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from tools.head.decimate import normal_of, signed_area
from tools.head.half_mesh import HalfMesh
from tools.head.texture_lookup import TextureLookup

_Triangle = tuple[int, int, int]

_FLATTEST_FOLD = 0.9
"""Edges between triangles whose normals' cosine is below this are features of the shape and are not turned."""
_LEAST_UV_AREA = 0.02
"""Least area in the texture of a triangle beside a turned edge, as a share of the first triangle's before."""


@dataclass(frozen=True)
class SampledMesh:
    """Our half mesh: every vertex a barycentric point of the source's half.

    Attributes:
        corners: The source half's vertices around each of ours.
        weights: Their weights, each row sums to 1.
        middle: Vertices on the mid-line.
        faces: Triangles.
        uv: Texture vertices, in the source's tiles.
        uv_faces: The triangles' texture vertices.
    """

    corners: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    middle: Bool[np.ndarray, " vertex"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "texture 2"]
    uv_faces: Int[np.ndarray, "face 3"]

    def points(self, half: HalfMesh) -> Float[np.ndarray, "vertex 3"]:
        """Where the vertices lie on the mean of the half they were sampled from, in mm."""
        return np.einsum("vcx,vc->vx", half.vertices_mm[self.corners], self.weights)


def compact(
    mesh: HalfMesh, faces: Int[np.ndarray, "face 3"], uv_faces: Int[np.ndarray, "face 3"]
) -> tuple[SampledMesh, Int[np.ndarray, " vertex"]]:
    """Drop what the thinned triangles do not use; also returns the half mesh's vertex of each vertex."""
    rows, new_faces = np.unique(faces, return_inverse=True)
    uv_rows, new_uv_faces = np.unique(uv_faces, return_inverse=True)
    corners = np.repeat(rows[:, None], 3, axis=1)
    weights = np.tile((1.0, 0.0, 0.0), (len(rows), 1))
    sampled = SampledMesh(
        corners, weights, mesh.middle[rows], new_faces.reshape(-1, 3), mesh.uv[uv_rows], new_uv_faces.reshape(-1, 3)
    )
    return sampled, rows


def turn_edges(mesh: SampledMesh, points: Float[np.ndarray, "vertex 3"], sweeps: int = 4) -> SampledMesh:
    """Turn inner edges whose opposite angles sum to more than 180 degrees, where surface and texture allow it."""
    faces, uv_faces = mesh.faces.copy(), mesh.uv_faces.copy()
    for _ in range(sweeps):
        touched: set[int] = set()
        edges = _edge_table(faces)
        for (start, end), (first, second) in [(e, f) for e, f in edges.items() if len(f) == 2]:
            if first in touched or second in touched:
                continue
            turned = _turned(points, mesh.uv, faces, uv_faces, (first, second), (start, end), edges)
            if turned is None:
                continue
            (faces[first], faces[second]), (uv_faces[first], uv_faces[second]) = turned
            touched |= {first, second}
        if not touched:
            break
    return SampledMesh(mesh.corners, mesh.weights, mesh.middle, faces, mesh.uv, uv_faces)


def _edge_table(faces: Int[np.ndarray, "face 3"]) -> dict[tuple[int, int], list[int]]:
    table: dict[tuple[int, int], list[int]] = {}
    for face, (a, b, c) in enumerate(faces.tolist()):
        for start, end in ((a, b), (b, c), (c, a)):
            table.setdefault((min(start, end), max(start, end)), []).append(face)
    return table


def _turned(
    points: Float[np.ndarray, "vertex 3"],
    uv: Float[np.ndarray, "texture 2"],
    faces: Int[np.ndarray, "face 3"],
    uv_faces: Int[np.ndarray, "face 3"],
    pair: tuple[int, int],
    edge: tuple[int, int],
    edges: dict[tuple[int, int], list[int]],
) -> tuple[tuple[_Triangle, _Triangle], tuple[_Triangle, _Triangle]] | None:
    """The two triangles beside an edge, and their texture, after turning it; None where that is not wanted."""
    first, second = pair
    start, end = edge
    corners = faces[first].tolist()
    where = next(k for k in range(3) if {corners[k], corners[(k + 1) % 3]} == {start, end})
    a, b, c = (corners[(where + k) % 3] for k in range(3))
    ua, ub, uc = (int(uv_faces[first][(where + k) % 3]) for k in range(3))
    other = faces[second].tolist()
    d_at = next(k for k in range(3) if other[k] not in (a, b))
    d, ud = other[d_at], int(uv_faces[second][d_at])
    if uv_faces[second][other.index(a)] != ua or uv_faces[second][other.index(b)] != ub:
        return None
    if (min(c, d), max(c, d)) in edges or c == d:
        return None
    if _angle(points, c, a, b) + _angle(points, d, a, b) < np.pi + 0.05:
        return None
    old = _unit_normal(points, a, b, c), _unit_normal(points, b, a, d)
    new = _unit_normal(points, c, d, b), _unit_normal(points, d, c, a)
    if min(old[0] @ old[1], new[0] @ new[1], *(n @ o for n in new for o in old)) < _FLATTEST_FOLD:
        return None
    area = signed_area(uv[[ua, ub, uc]])
    new_areas = signed_area(uv[[uc, ud, ub]]), signed_area(uv[[ud, uc, ua]])
    # Multiplied by the old area rather than divided by it, which may be zero: signs must agree whichever way it winds.
    if min(area * new_area for new_area in new_areas) <= _LEAST_UV_AREA * area * area:
        return None
    return ((c, d, b), (d, c, a)), ((uc, ud, ub), (ud, uc, ua))


def _angle(points: Float[np.ndarray, "vertex 3"], at: int, one: int, two: int) -> float:
    first, second = points[one] - points[at], points[two] - points[at]
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.arccos(np.clip(first @ second / max(size, 1e-12), -1.0, 1.0)))


def _unit_normal(points: Float[np.ndarray, "vertex 3"], a: int, b: int, c: int) -> Float[np.ndarray, " 3"]:
    normal = normal_of(points[[a, b, c]])
    return normal / max(float(np.linalg.norm(normal)), 1e-12)


def slide(
    mesh: SampledMesh,
    half: HalfMesh,
    movable: Bool[np.ndarray, " vertex"],
    spacing_mm: Float[np.ndarray, " vertex"],
    sweeps: int = 6,
) -> SampledMesh:
    """Slide vertices towards the weighted centre of their neighbours.

    Args:
        mesh: The thinned mesh.
        half: The surface to stay on.
        movable: Vertices that may slide; those on borders, the mid-line and seams never do.
        spacing_mm: Spacing wanted around each vertex.
        sweeps: Rounds over all vertices.
    """
    corners, weights, uv = mesh.corners.copy(), mesh.weights.copy(), mesh.uv.copy()
    lookup = TextureLookup(half.uv, half.uv_faces)
    around: dict[int, list[int]] = {}
    for face, row in enumerate(mesh.faces.tolist()):
        for vertex in row:
            around.setdefault(vertex, []).append(face)
    texture_of = dict(zip(mesh.faces.ravel().tolist(), mesh.uv_faces.ravel().tolist(), strict=True))
    inner = [v for v in _inner_vertices(mesh) if movable[v]]
    points = mesh.points(half)
    for _ in range(sweeps):
        for vertex in inner:
            own = texture_of[vertex]
            rows = around[vertex]
            neighbours = np.setdiff1d(mesh.faces[rows], [vertex])
            textures = _textures_around(mesh, rows, neighbours)
            pull = np.linalg.norm(points[neighbours] - points[vertex], axis=1) / spacing_mm[neighbours]
            goal = (uv[textures] * pull[:, None]).sum(0) / pull.sum()
            before = uv[own].copy()
            place = lookup.locate(0.5 * (before + goal))
            if not place.inside:
                continue
            uv[own] = 0.5 * (before + goal)
            if min(signed_area(uv[mesh.uv_faces[row]]) for row in rows) <= 1e-9:
                uv[own] = before
                continue
            corners[vertex], weights[vertex] = half.faces[place.face], place.weights
            points[vertex] = place.weights @ half.vertices_mm[corners[vertex]]
    return SampledMesh(corners, weights, mesh.middle, mesh.faces, uv, mesh.uv_faces)


def _textures_around(
    mesh: SampledMesh, rows: list[int], neighbours: Int[np.ndarray, " neighbour"]
) -> Int[np.ndarray, " neighbour"]:
    of = dict(zip(mesh.faces[rows].ravel().tolist(), mesh.uv_faces[rows].ravel().tolist(), strict=True))
    return np.array([of[vertex] for vertex in neighbours.tolist()])


def _inner_vertices(mesh: SampledMesh) -> list[int]:
    """Vertices off every border that have one place in the texture."""
    border = {v for edge, rows in _edge_table(mesh.faces).items() if len(rows) == 1 for v in edge}
    pairs = np.unique(np.stack([mesh.faces.ravel(), mesh.uv_faces.ravel()], axis=1), axis=0)
    vertices, counts = np.unique(pairs[:, 0], return_counts=True)
    return [int(v) for v in vertices[counts == 1] if int(v) not in border]
