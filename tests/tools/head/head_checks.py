"""What every head of ours must be, whether just built or read from the released file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from model.face.assets import HeadAssets
from model.face.parts import PART_NAMES, tiles
from tests.tools.head.synthetic_half import overlapping_pixels, texture_areas

REFLECT = np.array((-1.0, 1.0, 1.0), np.float32)
REGIONS = {"skin", "face", "lips", "eyelids", "nose", "ears", "neck", "scalp"} | {
    "eyes",
    "left_eye",
    "right_eye",
    "eye_sockets",
    "mouth_inner",
    "teeth",
    "tongue",
}
LIDS = {
    "Left": ([362, 398, 384, 385, 386, 387, 388, 466, 263], [362, 382, 381, 380, 374, 373, 390, 249, 263]),
    "Right": ([133, 173, 157, 158, 159, 160, 161, 246, 33], [133, 155, 154, 153, 145, 144, 163, 7, 33]),
}
"""Margins of the upper and lower lid among MediaPipe's 478, from the inner to the outer corner."""


def landmarks_mm(head: HeadAssets, name: str, displacement_mm: np.ndarray | float = 0.0) -> np.ndarray:
    """A landmark set on the mean head, moved if asked."""
    stored = head.landmarks[name]
    vertices = head.vertices_mm + displacement_mm
    return np.einsum("lcx,lc->lx", vertices[head.faces[stored.face]], stored.barycentric)


def shape_mm(head: HeadAssets, name: str) -> np.ndarray:
    """An expression at weight 1."""
    return head.expression_basis[head.expression_names.index(name)]


def check_mirror(head: HeadAssets) -> None:
    """The mean and its triangles are their own reflection, to the last bit."""
    mirror = head.mirror
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_array_equal(head.vertices_mm[mirror] * REFLECT, head.vertices_mm)
    assert set(_turned(head.faces)) == set(_turned(mirror[head.faces][:, [0, 2, 1]]))
    middle = mirror == np.arange(len(mirror))
    np.testing.assert_array_equal(head.vertices_mm[middle, 0], 0.0)
    # Vertex and texture triangles are mirrored alike.
    half = len(head.faces) // 2
    left, right = head.uv[head.uv_faces[:half]], head.uv[head.uv_faces[half:]]
    tile = tiles(head.uv[head.uv_faces])[:half]
    np.testing.assert_array_equal(tile, tiles(right))
    np.testing.assert_array_equal(mirror[head.faces[:half]][:, [0, 2, 1]], head.faces[half:])
    turned = left[:, [0, 2, 1]] * (-1.0, 1.0)
    turned[..., 0] += 1.0 + 2.0 * tile[:, None]
    np.testing.assert_allclose(turned, right, atol=1e-6)


def check_mesh(head: HeadAssets) -> None:
    """Sensible triangles, all of them used once, each edge with two sides at most."""
    corners = head.vertices_mm[head.faces].astype(np.float64)
    twice_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    squared_sides = ((corners - np.roll(corners, 1, axis=1)) ** 2).sum((1, 2))
    assert (2.0 * np.sqrt(3.0) * twice_area / squared_sides).min() > 0.005
    assert len(np.unique(np.sort(head.faces, axis=1), axis=0)) == len(head.faces)
    np.testing.assert_array_equal(np.unique(head.faces), np.arange(len(head.vertices_mm)))
    np.testing.assert_array_equal(np.unique(head.uv_faces), np.arange(len(head.uv)))
    directed = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)


def check_texture(head: HeadAssets) -> None:
    """Each part in its tile, counter-clockwise, no triangle over another."""
    tile = tiles(head.uv[head.uv_faces])
    assert set(tile) == set(range(len(PART_NAMES)))
    assert texture_areas(head.uv.astype(np.float64), head.uv_faces).min() > 0.0
    for number in range(len(PART_NAMES)):
        uv = head.uv - np.float32([number, 0.0])
        assert overlapping_pixels(uv, head.uv_faces[tile == number], 1024) == 0


def check_parts(head: HeadAssets) -> None:
    """The tiles hold what their names say."""
    tile = tiles(head.uv[head.uv_faces])
    of = {name: head.faces[tile == number] for number, name in enumerate(PART_NAMES)}
    inside = head.regions["mouth_inner"] | head.regions["teeth"] | head.regions["tongue"] | head.regions["eyes"]
    assert not inside[of["skin"]].any()
    for name in ("eyes", "teeth"):
        assert head.regions[name][of[name]].all()
    assert head.regions["tongue"][of["tongue"]].any(1).all()
    assert head.regions["mouth_inner"][of["mouth"]].any(1).all()


def check_skin_texture(head: HeadAssets) -> None:
    """Face and ears have at least 40 % of the skin's texture, and less than 12 % of it lies beside the skin."""
    skin = tiles(head.uv[head.uv_faces]) == PART_NAMES.index("skin")
    areas = texture_areas(head.uv.astype(np.float64), head.uv_faces)
    face = (head.regions["face"] | head.regions["ears"])[head.faces].all(1)
    assert areas[skin & face].sum() >= 0.40
    assert areas[skin].sum() > 0.88
    # One piece: no seam but the one at the back of the head.
    split = np.unique(np.stack((head.faces[skin].ravel(), head.uv_faces[skin].ravel()), 1), axis=0)
    vertices, count = np.unique(split[:, 0], return_counts=True)
    doubled = head.vertices_mm[vertices[count > 1]]
    assert doubled[:, 2].max() < -50.0
    assert np.abs(doubled[:, 0]).max() == 0.0


def check_regions(head: HeadAssets) -> None:
    """All there, none empty, symmetric, the eyes made of a left and a right one."""
    regions = head.regions
    assert set(regions) >= REGIONS
    swapped = {"left_eye": "right_eye", "right_eye": "left_eye"}
    for name, mask in regions.items():
        assert mask.sum() >= 50, name
        np.testing.assert_array_equal(mask[head.mirror], regions[swapped.get(name, name)], err_msg=name)
    np.testing.assert_array_equal(regions["left_eye"] | regions["right_eye"], regions["eyes"])
    assert not (regions["left_eye"] & regions["right_eye"]).any()
    assert head.vertices_mm[regions["left_eye"], 0].min() > 0.0
    for part in ("face", "lips", "eyelids", "nose", "ears", "neck", "scalp"):
        assert not (regions[part] & ~regions["skin"]).any(), part
    for inner in ("eyes", "teeth", "tongue", "mouth_inner"):
        assert not (regions[inner] & regions["skin"]).any(), inner
    assert not (regions["face"] & regions["ears"]).any()
    assert regions["face"].sum() > 0.3 * len(head.vertices_mm)


def check_lids_close(head: HeadAssets) -> None:
    """A full blink closes that eye and leaves the other open.

    Less than 0.5 mm of some 9 is left over the middle half of the lids' width, and less than 1 mm towards the corners.
    """
    for side, other in (("Left", "Right"), ("Right", "Left")):
        blink = shape_mm(head, f"eyeBlink{side}")
        assert lid_opening_mm(head, side)[3:8].min() > 7.0
        closed = lid_opening_mm(head, side, blink)
        assert closed[2:9].max() < 0.5
        assert closed.max() < 1.0
        assert closed.min() > -1.5
        np.testing.assert_allclose(lid_opening_mm(head, other, blink), lid_opening_mm(head, other), atol=0.3)


def lid_opening_mm(head: HeadAssets, side: str, displacement_mm: np.ndarray | float = 0.0) -> np.ndarray:
    """Height between the lid margins at eleven even steps between the corners of an eye; negative where they overlap.

    Lids also slide sideways as they close, so the distance between two landmarks would not tell.
    """
    points = landmarks_mm(head, "mediapipe478", displacement_mm)
    upper, lower = points[LIDS[side][0]], points[LIDS[side][1]]
    if side == "Right":
        upper, lower = upper * REFLECT, lower * REFLECT
    across = np.linspace(upper[0, 0], upper[-1, 0], 13)[1:-1]
    return np.interp(across, *upper[:, :2].T) - np.interp(across, *lower[:, :2].T)


def check_eyeballs_turn(head: HeadAssets) -> None:
    """Each eye's pupil goes where the expression says, its own lids with it and the other eye at rest."""
    goes = {"Up": (0.0, 1.0), "Down": (0.0, -1.0), "In": (-1.0, 0.0), "Out": (1.0, 0.0)}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        eye = np.flatnonzero(head.regions[f"{side.lower()}_eye"])
        pupil = eye[head.vertices_mm[eye, 2].argmax()]
        other = head.regions["right_eye" if side == "Left" else "left_eye"]
        for direction, towards in goes.items():
            shape = shape_mm(head, f"eyeLook{direction}{side}")
            assert shape[pupil, :2] @ (np.array(towards) * (sign, 1.0)) > 3.0
            assert np.abs(shape[other]).max() < 0.1
            turned = head.vertices_mm[eye] + shape[eye]
            before, after = (
                np.linalg.norm(points - points.mean(0), axis=1) for points in (head.vertices_mm[eye], turned)
            )
            np.testing.assert_allclose(after, before, atol=0.05)


def check_teeth(head: HeadAssets) -> None:
    """Two arches of one piece each, without a slit between any two of the front teeth."""
    faces = head.faces[head.regions["teeth"][head.faces].all(1)]
    _, welded = np.unique(np.round(head.vertices_mm, 4), axis=0, return_inverse=True)
    joined = welded[faces]
    places = int(welded.max()) + 1
    ends = (joined.ravel(), np.roll(joined, 1, axis=1).ravel())
    graph = coo_matrix((np.ones(joined.size), ends), shape=(places, places))
    labels = connected_components(graph, directed=False)[1][joined[:, 0]]
    arches = [faces[labels == label] for label in np.unique(labels)]
    assert len(arches) == 2
    heights = [head.vertices_mm[np.unique(arch), 1].mean() for arch in arches]
    x = np.arange(-12.0, 12.0, 0.05)
    for arch, height in zip(arches, heights, strict=True):
        upper = height == max(heights)
        corners = head.vertices_mm[arch].astype(np.float64)
        own = corners[corners[:, :, 2].min(1) > 5.0]
        edge = own[..., 1].min() if upper else own[..., 1].max()
        # From the highest edge, a canine's in the lower row.
        for up in (2.0, 3.5, 5.0) if upper else (3.5, 5.0, 6.5):
            assert _covered(own[..., :2], x, edge + (up if upper else -up)).all()
    # They follow the jaw as one: the upper ones stay, the lower ones turn without bending.
    opened = shape_mm(head, "jawOpen")
    upper_row, lower_row = (np.unique(arches[number]) for number in np.argsort(heights)[::-1])
    assert np.abs(opened[upper_row]).max() < 0.01
    rows = head.vertices_mm[lower_row], (head.vertices_mm + opened)[lower_row]
    before, after = (points - points.mean(0) for points in rows)
    left, _, right = np.linalg.svd(before.T @ after)
    assert np.linalg.norm(before @ (left @ right) - after, axis=1).max() < 1.5


def _covered(triangles: np.ndarray, x: np.ndarray, y: float) -> np.ndarray:
    """Which places of a level line lie inside any of the triangles."""
    inside = np.zeros(len(x), bool)
    for triangle in triangles:
        low, high = triangle[:, 1].min(), triangle[:, 1].max()
        if not low <= y <= high or high == low:
            continue
        crossings = []
        for corner in range(3):
            (x0, y0), (x1, y1) = triangle[corner], triangle[(corner + 1) % 3]
            if min(y0, y1) <= y <= max(y0, y1) and y0 != y1:
                crossings.append(x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        if crossings:
            inside |= (x >= min(crossings) - 1e-6) & (x <= max(crossings) + 1e-6)
    return inside


def check_exposure(head: HeadAssets) -> None:
    """Open on the face, hidden in the sockets, nearly so at the back of the mouth, symmetric."""
    seen = head.exposure
    assert seen is not None
    assert seen.min() >= 0.0
    assert seen.max() <= 1.001
    np.testing.assert_allclose(seen[head.mirror], seen, atol=1e-3)
    assert np.median(seen[head.regions["face"]]) > 0.8
    assert np.median(seen[head.regions["eye_sockets"]]) < 0.05
    back = head.regions["mouth_inner"] & (head.vertices_mm[:, 2] < -40.0)
    assert seen[back].max() < 0.1


def check_eyeballs_are_rings(head: HeadAssets) -> None:
    """Edges run round the pupil, and so does the texture."""
    for side, sign in (("left_eye", 1.0), ("right_eye", -1.0)):
        own = head.regions[side][head.faces].all(1)
        uv = head.uv[np.unique(head.uv_faces[own])].astype(np.float64) - (1.0, 0.0)
        across = np.stack((2.0 * (uv[:, 0] - 0.5 - 0.25 * sign), uv[:, 1] - 0.5), 1)
        rings, count = np.unique(np.round(np.linalg.norm(across, axis=1), 4), return_counts=True)
        assert 12 <= len(rings) <= 20
        assert sorted(count)[1:] == [count.max()] * (len(rings) - 1)


def check_tongue(head: HeadAssets) -> None:
    """It comes out forwards and nothing else moves."""
    shape, tongue = shape_mm(head, "tongueOut"), head.regions["tongue"]
    assert not shape[~tongue].any()
    assert shape[tongue, 2].max() > 20.0
    assert shape[tongue, 2].min() >= 0.0
    assert np.abs(shape[tongue, 0]).max() == 0.0


def check_landmarks(head: HeadAssets, placed: Path) -> None:
    """Within half a millimetre of where they were put on the source, and symmetric."""
    with np.load(placed, allow_pickle=False) as archive:
        for name, mirror in (("ibug68", IBUG68_MIRROR), ("mediapipe478", MEDIAPIPE478_MIRROR)):
            found = landmarks_mm(head, name)
            assert np.linalg.norm(found - archive[f"{name}_point"], axis=1).max() < 0.5
            np.testing.assert_allclose(found[mirror] * REFLECT, found, atol=1e-4)


def _turned(faces: np.ndarray) -> list[tuple[int, ...]]:
    """Triangles, each started at its smallest vertex."""
    start = faces.argmin(1)
    rows = np.arange(len(faces))
    return list(map(tuple, np.stack([faces[rows, (start + k) % 3] for k in range(3)], axis=1).tolist()))


CHECKS: tuple[Callable[[HeadAssets], None], ...] = (
    check_mirror,
    check_mesh,
    check_texture,
    check_parts,
    check_skin_texture,
    check_regions,
    check_lids_close,
    check_eyeballs_turn,
    check_teeth,
    check_exposure,
    check_eyeballs_are_rings,
    check_tongue,
)
