"""The texture space: a tile for each part of the head, the skin alone filling one, small charts in rows in the others.

Worked out for the left half; the right half is its reflection at the middle of each tile. No two triangles overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from model.face.parts import PART_NAMES
from tools.head.decimate import signed_area
from tools.head.skin_chart import SkinWishes, skin_chart

PADDING = 0.008
"""Free space around every small chart: 2 px at 256."""

_SHELF = (0.5, 0.0, 1.0, 1.0)
"""Where the small charts of a tile go, as left, bottom, right, top."""

_RELATIVE_DENSITY = {"eyes": 1.0, "teeth": 0.7, "gums": 0.4, "tongue": 0.6, "mouth_socket": 0.35}
_TILE_OF = {"eyes": "eyes", "teeth": "teeth", "gums": "mouth", "mouth_socket": "mouth", "tongue": "tongue"}
"""What is in neither of these is skin."""


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
    wishes: SkinWishes,
) -> tuple[Float[np.ndarray, "placed 2"], Int[np.ndarray, "face 3"]]:
    """Texture vertices and triangles of the left half.

    Args:
        vertices_mm: The left half.
        middle: Its vertices on the mid-line.
        faces: Its triangles.
        uv: Texture vertices in the source's tiles.
        uv_faces: The triangles' texture vertices there.
        parts: Masks by name, as `source_parts` gives them.
        wishes: What is wanted of the skin's chart.

    Returns:
        Coordinates, u from 0.5 to 1 of each part's tile, and the triangles'. The skin's chart is of one piece and meets
        its reflection along the face at exactly u = 0.5.
    """
    part_of_face = parts_of_faces(faces, parts)
    skin = part_of_face == "skin"
    chart, used = skin_chart(vertices_mm, middle, faces[skin], wishes)
    placed, small = np.full_like(uv, np.nan, dtype=float), []
    small_faces = np.flatnonzero(~skin)
    for triangles in texture_charts(uv_faces[small_faces], len(uv)):
        triangles = small_faces[triangles]
        rows = np.unique(uv_faces[triangles])
        part = str(part_of_face[triangles[0]])
        small.append(_Chart(rows, part, _density(vertices_mm, faces[triangles], uv, uv_faces[triangles])))
        placed[rows] = _upright(uv[rows], uv, uv_faces[triangles])
    for tile in PART_NAMES[1:]:
        charts = [piece for piece in small if _TILE_OF[piece.part] == tile]
        _pack(placed, charts)
        for piece in charts:
            placed[piece.rows, 0] += PART_NAMES.index(tile)
    kept = np.flatnonzero(np.isfinite(placed[:, 0]))
    row_of = np.full(len(uv), -1)
    row_of[kept] = len(used) + np.arange(len(kept))
    row_of_vertex = np.full(len(vertices_mm), -1)
    row_of_vertex[used] = np.arange(len(used))
    new_faces = np.where(skin[:, None], row_of_vertex[faces], row_of[uv_faces])
    return np.concatenate((chart, placed[kept])), new_faces


def parts_of_faces(faces: Int[np.ndarray, "face 3"], parts: dict[str, Bool[np.ndarray, " vertex"]]) -> np.ndarray:
    """The name of each triangle's part: a small one that has any of its corners, else `skin`."""
    named = np.full(len(faces), "skin", dtype=object)
    for part in ("mouth_socket", "gums", "tongue", "teeth", "eyes"):
        # Together: texture charts of the source that the join of two parts runs through stay whole.
        named[parts[part][faces].any(1)] = part
    return named


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
    """Move the small charts, as large as they fit, onto the shelf of their tile."""
    relative = np.array([_RELATIVE_DENSITY[chart.part] / chart.density for chart in charts])
    boxes = np.array([np.ptp(placed[chart.rows], axis=0) for chart in charts])
    low, high, corners = 0.0, 64.0, None
    for _ in range(40):
        scale = 0.5 * (low + high)
        found = _shelve(boxes * (scale * relative)[:, None] + PADDING)
        low, high = (scale, high) if found is not None else (low, scale)
        corners = found if found is not None else corners
    if corners is None:
        raise ValueError("the small charts do not fit into their tile at any size")
    for chart, corner, size in zip(charts, corners, low * relative, strict=True):
        start = placed[chart.rows].min(0)
        placed[chart.rows] = (placed[chart.rows] - start) * size + corner + 0.5 * PADDING


def _shelve(boxes: Float[np.ndarray, "chart 2"]) -> Float[np.ndarray, "chart 2"] | None:
    """Lower left corners of boxes set in rows, tallest first; None where they do not fit."""
    corners = np.empty_like(boxes)
    left, bottom, right, top = _SHELF
    x, y, row_height = left, bottom, 0.0
    for chart in np.argsort(-boxes[:, 1]):
        width, height = boxes[chart]
        if x + width > right:
            x, y, row_height = left, y + row_height, 0.0
        if x + width > right or y + height > top:
            return None
        corners[chart] = x, y
        x, row_height = x + width, max(row_height, height)
    return corners
