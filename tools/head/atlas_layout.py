"""The texture atlas: the face large in the upper middle, the back of the head below it, small parts at the sides.

Worked out for the left half; the right half is its reflection at u = 0.5. No two triangles overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tools.head.decimate import signed_area

PADDING = 0.004
"""Free space around every chart: 4 px at 1024."""

_FACE_SIDE, _FACE_BOTTOM = 0.72, 0.276
_HEAD_WIDTH, _HEAD_HEIGHT = 0.54, 0.268
_SHELVES = ((0.5 + 0.5 * _FACE_SIDE, _FACE_BOTTOM, 1.0, 1.0), (0.5 + 0.5 * _HEAD_WIDTH, 0.0, 1.0, _FACE_BOTTOM))
"""Where the small charts go, as left, bottom, right, top: beside the face, and below it beside the back of the head."""

_RELATIVE_DENSITY = {"eyes": 1.0, "teeth": 0.7, "gums": 0.4, "tongue": 0.6, "mouth_socket": 0.35, "eye_sockets": 0.35}
_CHARTS_ON_MIDDLE = ("face", "head")


@dataclass(frozen=True)
class _Chart:
    """A piece of the texture: its texture vertices and what it is a part of."""

    rows: Int[np.ndarray, " texture"]
    part: str
    density: float


def lay_out(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    middle: Bool[np.ndarray, " vertex"],
    faces: Int[np.ndarray, "face 3"],
    uv: Float[np.ndarray, "texture 2"],
    uv_faces: Int[np.ndarray, "face 3"],
    parts: dict[str, Bool[np.ndarray, " vertex"]],
) -> Float[np.ndarray, "texture 2"]:
    """Texture coordinates of the left half in the atlas.

    Args:
        vertices_mm: The left half.
        middle: Its vertices on the mid-line.
        faces: Its triangles.
        uv: Texture vertices in the source's tiles.
        uv_faces: The triangles' texture vertices.
        parts: Masks by name: `face`, `head`, and the keys of the small parts.

    Returns:
        Coordinates in [0, 1]; the charts of face and head meet their reflection at exactly u = 0.5.
    """
    placed = np.full_like(uv, np.nan)
    small: list[_Chart] = []
    on_middle = np.zeros(len(uv), bool)
    on_middle[uv_faces[middle[faces]]] = True
    for triangles in texture_charts(uv_faces, len(uv)):
        rows = np.unique(uv_faces[triangles])
        part = max(parts, key=lambda name: int(parts[name][faces[triangles]].sum()))
        if part in _CHARTS_ON_MIDDLE:
            local = uv[rows] - (np.floor(uv[rows, :1].min()), 0.0) - (0.5, 0.0)
            if part == "face":
                placed[rows] = local * _FACE_SIDE + (0.5, _FACE_BOTTOM)
            else:
                placed[rows] = local * (_HEAD_WIDTH, _HEAD_HEIGHT) + (0.5, 0.0)
            # The source's own mid-line wavers by rounding only.
            centre = rows[on_middle[rows] & (np.abs(placed[rows, 0] - 0.5) < 1e-3)]
            placed[centre, 0] = 0.5
        else:
            small.append(_Chart(rows, part, _density(vertices_mm, faces[triangles], uv, uv_faces[triangles])))
            placed[rows] = _upright(uv[rows], uv, uv_faces[triangles])
    _pack(placed, small)
    return placed


def texture_charts(uv_faces: Int[np.ndarray, "face 3"], count: int) -> list[Int[np.ndarray, " face"]]:
    """Triangles of each connected piece of the texture."""
    starts, ends = uv_faces.ravel(), np.roll(uv_faces, 1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1][uv_faces[:, 0]]
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _density(vertices_mm: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray) -> float:
    """Source texture length per mm."""
    a, b, c = vertices_mm[faces].swapaxes(0, 1)
    areas_mm2 = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return float(np.sqrt(np.abs(signed_area(uv[uv_faces])).sum() / areas_mm2.sum()))


def _upright(points: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray) -> np.ndarray:
    """Charts the source mirrors are turned over, so that every triangle is counter-clockwise."""
    return points * (np.sign(signed_area(uv[uv_faces]).sum()), 1.0)


def _pack(placed: Float[np.ndarray, "texture 2"], charts: Sequence[_Chart]) -> None:
    """Move the small charts, as large as they fit, onto the shelves."""
    relative = np.array([_RELATIVE_DENSITY[chart.part] / chart.density for chart in charts])
    boxes = np.array([np.ptp(placed[chart.rows], axis=0) for chart in charts])
    low, high, corners = 0.0, 1.0, None
    for _ in range(30):
        scale = 0.5 * (low + high)
        found = _shelve(boxes * (scale * relative)[:, None] + PADDING)
        low, high = (scale, high) if found is not None else (low, scale)
        corners = found if found is not None else corners
    if corners is None:
        raise ValueError("the small charts do not fit beside the face at any size")
    for chart, corner, size in zip(charts, corners, low * relative, strict=True):
        start = placed[chart.rows].min(0)
        placed[chart.rows] = (placed[chart.rows] - start) * size + corner + 0.5 * PADDING


def _shelve(boxes: Float[np.ndarray, "chart 2"]) -> Float[np.ndarray, "chart 2"] | None:
    """Lower left corners of boxes set in rows, tallest first; None where they do not fit."""
    corners = np.empty_like(boxes)
    shelves = [list(shelf) for shelf in _SHELVES]
    waiting = list(np.argsort(-boxes[:, 1]))
    for left, bottom, right, top in shelves:
        x, y, row_height = left, bottom, 0.0
        leftover = []
        for chart in waiting:
            width, height = boxes[chart]
            if x + width > right:
                x, y, row_height = left, y + row_height, 0.0
            if x + width > right or y + height > top:
                leftover.append(chart)
                continue
            corners[chart] = x, y
            x, row_height = x + width, max(row_height, height)
        waiting = leftover
    return None if waiting else corners
