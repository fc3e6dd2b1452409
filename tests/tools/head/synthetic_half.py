"""A small domed sheet that stands in for the source's left half, and what tests measure on meshes."""

import numpy as np

from model.face.assets import HeadAssets
from tools.head.half_mesh import HalfMesh

WIDTH_MM, HALF_HEIGHT_MM, _RISE_MM = 30.0, 40.0, 6.0


def dome(columns: int = 13, rows: int = 17, *, seam_at: int | None = None) -> HalfMesh:
    """A sheet over x in [0, 30] and y in [-40, 40], its mid-line at x = 0, its texture the sheet seen from the front.

    Args:
        columns: Vertices across.
        rows: Vertices from bottom to top.
        seam_at: Row along which the texture is cut; the part above lies one tile further right.
    """
    y, x = np.meshgrid(
        np.linspace(-HALF_HEIGHT_MM, HALF_HEIGHT_MM, rows), np.linspace(0.0, WIDTH_MM, columns), indexing="ij"
    )
    points = np.stack([x, y, height_mm(x, y)], axis=2).reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=2).reshape(-1, 3)
    uv, uv_faces = texture_of(points), faces.copy()
    if seam_at is not None:
        upper = faces.min(1) >= seam_at * columns
        uv_faces[upper] += len(uv)
        uv = np.concatenate([uv, uv + (1.0, 0.0)])
    return HalfMesh(np.arange(len(points)), points, points[:, 0] == 0.0, faces, uv, uv_faces)


def height_mm(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the dome over its plane."""
    return _RISE_MM * np.cos(0.5 * np.pi * x / WIDTH_MM) * np.cos(0.5 * np.pi * y / HALF_HEIGHT_MM)


def texture_of(points: np.ndarray) -> np.ndarray:
    """Where a point of the dome lies in the source's texture: the right half of the first tile, mid-line at 0.5."""
    return np.stack([0.5 + 0.45 * points[:, 0] / WIDTH_MM, 0.5 + 0.45 * points[:, 1] / HALF_HEIGHT_MM], axis=1)


def mirrored_source(half: HalfMesh) -> HeadAssets:
    """A whole source whose left half is the given one; vertex k of the half is vertex k of the source."""
    others = np.flatnonzero(~half.middle)
    twin = np.arange(len(half.middle))
    twin[others] = len(twin) + np.arange(len(others))
    vertices = np.concatenate([half.vertices_mm, half.vertices_mm[others] * (-1.0, 1.0, 1.0)]).astype(np.float32)
    empty = np.zeros(len(vertices), bool)
    return HeadAssets(
        vertices_mm=vertices,
        faces=np.concatenate([half.faces, twin[half.faces][:, [0, 2, 1]]]).astype(np.int32),
        uv=np.concatenate([half.uv, (1.0, 0.0) + half.uv * (-1.0, 1.0)]).astype(np.float32),
        uv_faces=np.concatenate([half.uv_faces, half.uv_faces[:, [0, 2, 1]] + len(half.uv)]).astype(np.int32),
        identity_basis=np.zeros((1, len(vertices), 3), np.float32),
        expression_basis=np.zeros((0, len(vertices), 3), np.float32),
        expression_names=(),
        albedo_mean=np.full_like(vertices, 0.4),
        albedo_basis=np.zeros((0, len(vertices), 3), np.float32),
        mirror=np.concatenate([twin, others]).astype(np.int32),
        regions={"left_eye_inner": empty, "right_eye_inner": empty},
    )


def texture_areas(uv: np.ndarray, uv_faces: np.ndarray) -> np.ndarray:
    """Signed, positive counter-clockwise."""
    first, second = uv[uv_faces[:, 1]] - uv[uv_faces[:, 0]], uv[uv_faces[:, 2]] - uv[uv_faces[:, 0]]
    return 0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def smallest_angles_deg(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Of each triangle."""
    angles = []
    for corner in range(3):
        at, one, two = (points[faces[:, (corner + k) % 3]] for k in range(3))
        cosine = ((one - at) * (two - at)).sum(1)
        cosine /= np.linalg.norm(one - at, axis=1) * np.linalg.norm(two - at, axis=1)
        angles.append(np.degrees(np.arccos(cosine.clip(-1.0, 1.0))))
    return np.min(angles, axis=0)


def edge_faces(faces: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """The triangles beside each edge."""
    table: dict[tuple[int, int], list[int]] = {}
    for face, row in enumerate(faces.tolist()):
        for k in range(3):
            start, end = sorted((row[k], row[(k + 1) % 3]))
            table.setdefault((start, end), []).append(face)
    return table


def border_vertices(faces: np.ndarray) -> set[int]:
    """Ends of edges with one triangle only."""
    return {vertex for edge, beside in edge_faces(faces).items() if len(beside) == 1 for vertex in edge}


def overlapping_pixels(uv: np.ndarray, uv_faces: np.ndarray, size: int) -> int:
    """Centres of pixels of an atlas, `size` px wide, that lie inside more than one triangle."""
    count = np.zeros((size, size), np.int32)
    for triangle in (uv * size - 0.5)[uv_faces].astype(np.float64):
        left, bottom = np.ceil(triangle.min(0)).astype(int)
        right, top = np.floor(triangle.max(0)).astype(int) + 1
        if right <= left or top <= bottom:
            continue
        x, y = np.arange(left, right), np.arange(bottom, top)[:, None]
        inside = np.ones((top - bottom, right - left), bool)
        for corner in range(3):
            start, end = triangle[corner], triangle[(corner + 1) % 3]
            along = end - start
            # A hundredth of a pixel off the edge: centres on a shared edge belong to neither.
            across = along[0] * (y - start[1]) - along[1] * (x - start[0])
            inside &= across > 0.01 * np.hypot(*along)
        count[bottom:top, left:right] += inside
    return int((count > 1).sum())
