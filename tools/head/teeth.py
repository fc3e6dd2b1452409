"""Each row of teeth as one clean arch: a strip of rings over the source's crowns, closed between them.

The source's 32 teeth are closed bodies with long roots, a slit between every two; thinned, they are shards. Here every
ring is a cut through one tooth's crown, across the arch, and between two teeth lies a ring at the mean of their sides,
a little sunk. The arches follow the source's teeth in identity and expression.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tools.head.piece import Piece, grid_faces
from tools.statistics.surface import nearest_on_surface

_FRONT, _REAR = (0.07, 0.22, 0.5, 0.78, 0.93), (0.1, 0.5, 0.9)
"""Where the rings of a tooth cut it, from its side next to the middle (0) to the other (1)."""
_FRONT_TEETH = 4
_LABIAL, _LINGUAL = (0.0, 0.3, 0.6, 0.85, 0.97), (0.97, 0.55, 0.0)
"""Heights of a ring's points on the outer and on the inner side, from the gums (0) to the biting edge (1)."""
_CROWN_MM = np.array([11.0, 10.0, 10.5, 9.0, 8.5, 8.0, 7.5, 7.0])
"""From the biting edge to under the gums, from the middle teeth to the wisdom teeth."""
_GROOVE_MM, _NOTCH_MM = 0.45, 0.5
"""How far the ring between two teeth is sunk into the arch, and how far its edge is drawn back."""
_LEAST_THICKNESS_MM = 0.8
_TEETH = 8
_UV_MARGIN = 0.02


def arches(
    points_mm: Float[np.ndarray, "source 3"], faces: Int[np.ndarray, "face 3"], teeth: Int[np.ndarray, " tooth_face"]
) -> tuple[Piece, Piece]:
    """The left halves of the upper and the lower arch; their first ring lies on the mid-line.

    Args:
        points_mm: The source's symmetric mean.
        faces: Its triangles.
        teeth: Which of them are those of teeth on the left.

    Raises:
        ValueError: If there are not eight teeth above and eight below.
    """
    bodies = _bodies(faces[teeth], len(points_mm))
    centres = np.array([points_mm[np.unique(body)].mean(0) for body in bodies])
    if len(bodies) != 2 * _TEETH:
        raise ValueError(f"the source has {len(bodies)} teeth on its left, {2 * _TEETH} are expected")
    by_height = np.argsort(-centres[:, 1])
    halves = (by_height[:_TEETH], by_height[_TEETH:])
    pieces = []
    for upper, half in zip((True, False), halves, strict=True):
        in_order = half[np.argsort(-centres[half, 2])]
        pieces.append(_arch(points_mm, [bodies[number] for number in in_order], faces, upper=upper))
    return pieces[0], pieces[1]


def _bodies(faces: Int[np.ndarray, "face 3"], count: int) -> list[Int[np.ndarray, "_ 3"]]:
    starts, ends = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    labels = connected_components(coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(count, count)))[1]
    of_face = labels[faces[:, 0]]
    return [faces[of_face == label] for label in np.unique(of_face)]


def _arch(
    points_mm: Float[np.ndarray, "source 3"],
    bodies: list[Int[np.ndarray, "_ 3"]],
    faces: Int[np.ndarray, "face 3"],
    *,
    upper: bool,
) -> Piece:
    # Upwards is towards the gums in the lower arch turned over: both are built as if they were upper ones.
    turn = np.array([1.0, 1.0 if upper else -1.0, 1.0])
    points = points_mm * turn
    curve = _Curve(np.array([points[np.unique(body)].mean(0) for body in bodies]))
    cuts = [_cuts(points, body, curve, number) for number, body in enumerate(bodies)]
    sheet = _sheet(cuts, curve) * turn
    columns, rows = sheet.shape[:2]
    index = np.arange(columns * rows).reshape(columns, rows)
    last = np.stack((np.full(rows - 2, index[-1, 0]), index[-1, 2:], index[-1, 1:-1]), -1)
    own_faces = np.concatenate((grid_faces(index), last))
    vertices = sheet.reshape(-1, 3)
    if not upper:
        own_faces = own_faces[:, ::-1]
    own_faces = np.ascontiguousarray(own_faces if _outward(vertices, own_faces) else own_faces[:, ::-1])
    surface = np.concatenate(bodies)
    rows_of = np.flatnonzero(np.isin(faces, np.unique(surface)).all(1))
    found = nearest_on_surface(vertices, points_mm, faces, rows_of)
    uv, uv_faces = _texture(columns, rows, own_faces, upper=upper)
    return Piece(vertices, faces[found.face], found.barycentric, own_faces, uv, uv_faces)


class _Curve:
    """The arch seen from above, from the middle of the face to the last tooth."""

    def __init__(self, centres: Float[np.ndarray, "tooth 3"]) -> None:
        """Lay a smooth curve through the teeth's centres and their mirror images."""
        plan = centres[:, [0, 2]]
        whole = np.concatenate((plan[::-1] * (-1.0, 1.0), plan))
        way = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(whole, axis=0), axis=1))))
        self._middle, self._end = 0.5 * way[-1], way[-1]
        self._spline = CubicSpline(way, whole)

    def place(self, way: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Point, direction along and direction outwards, in x and z, at a distance from the middle."""
        point, along = self._spline(self._middle + way), self._spline(self._middle + way, 1)
        along = along / np.linalg.norm(along)
        return point, along, np.array([-along[1], along[0]])

    def ways(self, plan: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, " point"]:
        """Distance along the curve of the place nearest to each point."""
        fine = np.linspace(self._middle - 6.0, self._end + 12.0, 2000)
        places = self._spline(fine)
        nearest = ((plan[:, None] - places[None]) ** 2).sum(-1).argmin(1)
        return fine[nearest] - self._middle


@dataclass(frozen=True)
class _Cuts:
    """Outlines of one tooth in planes across the arch.

    Attributes:
        way_mm: Where they cut the arch.
        edge_mm: Heights of the biting edge.
        out_mm: How far the outlines lie outside the arch's curve at the heights of the rows; NaN above the tooth.
        crown_mm: From edge to gums.
    """

    way_mm: Float[np.ndarray, " cut"]
    edge_mm: Float[np.ndarray, " cut"]
    out_mm: Float[np.ndarray, "cut row"]
    crown_mm: float


def _cuts(points: Float[np.ndarray, "source 3"], body: Int[np.ndarray, "own 3"], curve: _Curve, number: int) -> _Cuts:
    """Cut a tooth's crown, from its side next to the middle to the other."""
    own, crown_mm = points[np.unique(body)], float(_CROWN_MM[number])
    crown = own[own[:, 1] < own[:, 1].min() + 0.7 * crown_mm]
    ways = curve.ways(crown[:, [0, 2]])
    shares = np.array(_FRONT if number < _FRONT_TEETH else _REAR)
    places = ways.min() + shares * np.ptp(ways)
    edges, outs = zip(*(_cut(points[body], curve, float(way), crown_mm) for way in places), strict=True)
    return _Cuts(places, np.array(edges), np.array(outs), crown_mm)


def _cut(
    triangles: Float[np.ndarray, "face 3 3"], curve: _Curve, way: float, crown_mm: float
) -> tuple[float, Float[np.ndarray, " row"]]:
    """Edge and outline of a tooth in one plane across the arch."""
    point, along, outwards = curve.place(way)
    local = triangles[..., [0, 2]] - point
    ahead, out, height = local @ along, local @ outwards, triangles[..., 1]
    segments, ends = [], np.stack((out, height), -1)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        crossing = ahead[:, start] * ahead[:, end] < 0.0
        share = (ahead[:, start] / np.where(crossing, ahead[:, start] - ahead[:, end], 1.0))[:, None]
        segments.append(np.where(crossing[:, None], ends[:, start] + share * (ends[:, end] - ends[:, start]), np.nan))
    hits = np.stack(segments, 1)
    cut = hits[np.isfinite(hits[..., 0]).sum(1) == 2]
    pairs = cut[np.isfinite(cut[..., 0])].reshape(-1, 2, 2)
    edge = float(pairs[..., 1].min())
    rows = [_extent(pairs, edge + (1.0 - row) * crown_mm, outer=True) for row in _LABIAL]
    return edge, np.array(rows + [_extent(pairs, edge + (1.0 - row) * crown_mm, outer=False) for row in _LINGUAL])


def _extent(pairs: Float[np.ndarray, "segment 2 2"], height: float, *, outer: bool) -> float:
    """How far out or in an outline reaches at a height."""
    low, high = pairs[..., 1].min(1), pairs[..., 1].max(1)
    inside = (low <= height) & (high > height)
    start, end = pairs[inside, 0], pairs[inside, 1]
    share = (height - start[:, 1]) / (end[:, 1] - start[:, 1])
    reached = start[:, 0] + share * (end[:, 0] - start[:, 0])
    if not len(reached):
        return np.nan
    return float(reached.max() if outer else reached.min())


def _sheet(cuts: list[_Cuts], curve: _Curve) -> Float[np.ndarray, "column row 3"]:
    """Rings from the mid-line to the last tooth: those of the teeth, and one between every two."""
    ways, edges, outs, crowns = [np.zeros(1)], [cuts[0].edge_mm[:1]], [cuts[0].out_mm[:1]], [cuts[0].crown_mm]
    for tooth, after in zip(cuts, [*cuts[1:], None], strict=True):
        ways.append(tooth.way_mm)
        edges.append(tooth.edge_mm)
        outs.append(tooth.out_mm)
        crowns += [tooth.crown_mm] * len(tooth.way_mm)
        if after is not None:
            ways.append(0.5 * (tooth.way_mm[-1:] + after.way_mm[:1]))
            edges.append(0.5 * (tooth.edge_mm[-1:] + after.edge_mm[:1]))
            outs.append(0.5 * (tooth.out_mm[-1:] + after.out_mm[:1]))
            crowns.append(0.5 * (tooth.crown_mm + after.crown_mm))
    between = np.cumsum([0, *(1 + len(tooth.way_mm) for tooth in cuts)])[:-1]
    way, edge, out, crown = np.concatenate(ways), np.concatenate(edges), np.concatenate(outs), np.array(crowns)
    for row in range(out.shape[1]):
        # Towards the gums a tooth is narrower: there the strip runs on between the outlines of its neighbours.
        known = np.isfinite(out[:, row])
        out[:, row] = np.interp(way, way[known], out[known, row])
    labial = len(_LABIAL)
    out[between, :labial] -= _GROOVE_MM
    # Nobody sees the inner side from near: it is evened out, and kept behind the outer one.
    for _ in range(2):
        padded = np.pad(out[:, labial:], ((1, 1), (0, 0)), "edge")
        out[:, labial:] = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    out[:, labial:] = np.minimum(out[:, labial:], out[:, labial - 1 :: -1][:, [0, 2, 4]] - _LEAST_THICKNESS_MM)
    edge[between] += _NOTCH_MM
    share = np.array([*_LABIAL, *_LINGUAL])
    heights = edge[:, None] + np.where(share > 0.9, 0.0, 1.0 - share) * crown[:, None]
    places = [curve.place(float(at)) for at in way]
    plan = np.array([point + own[:, None] * outwards for (point, _, outwards), own in zip(places, out, strict=True)])
    sheet = np.stack((plan[..., 0], heights, plan[..., 1]), -1)
    sheet[0, :, 0] = 0.0
    return sheet


def _outward(vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> bool:
    """Whether the triangles of the front face forwards."""
    a, b, c = vertices[faces].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    centre = (a + b + c) / 3.0
    front = centre[:, 0] < 6.0
    return bool((normal[front, 2] * (centre[front, 2] - centre[front, 2].mean())).sum() > 0.0)


def _texture(
    columns: int, rows: int, faces: Int[np.ndarray, "face 3"], *, upper: bool
) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """The strip laid out: the upper arch in the upper half of the tile, its gums up; the lower one reflected below."""
    across = 0.5 + _UV_MARGIN + (0.5 - 2.0 * _UV_MARGIN) * np.arange(columns) / (columns - 1.0)
    down = np.array([0.0, 0.13, 0.28, 0.42, 0.5, 0.56, 0.75, 1.0])
    heights = _UV_MARGIN + (0.5 - 3.0 * _UV_MARGIN) * (1.0 - down)
    u, v = np.meshgrid(across, heights, indexing="ij")
    v = 0.5 + v if upper else 0.5 - v
    uv = np.stack((u.ravel(), v.ravel()), -1)
    # The closing triangles at the back have a strip of their own beside the last ring.
    closing = np.stack((np.full(rows, 1.0 - 0.3 * _UV_MARGIN), v[-1]), -1)
    uv_faces = faces.copy()
    last = faces.min(1) >= (columns - 1) * rows
    # A fan from one corner: that corner lies beside the strip, halfway.
    fan_corner = (columns - 1) * rows
    apex = len(uv)
    uv = np.concatenate((uv, closing[rows // 2][None]))
    uv_faces[last] = np.where(faces[last] == fan_corner, apex, faces[last])
    return uv, uv_faces
