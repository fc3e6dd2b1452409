"""The left eyeball in rings about its axis: edges follow pupil and iris, and the texture is round about the pupil."""

import numpy as np
from jaxtyping import Float, Int

from model.face.skeleton import eyeball_centre
from tools.head.piece import Piece
from tools.statistics.surface import SurfacePoints, nearest_on_surface

SEGMENTS = 28
RINGS_DEG = (6.0, 12.5, 18.0, 21.0, 25.0, 31.0, 38.0, 46.0, 56.0, 68.0, 84.0, 104.0, 128.0, 154.0)
"""Angles from the axis, seen from the centre; the iris ends near 19.7."""
_UV_RADIUS, _UV_DEG = 0.48, 35.0


def eyeball(
    points_mm: Float[np.ndarray, "source 3"],
    faces: Int[np.ndarray, "face 3"],
    shell: Int[np.ndarray, " shell"],
    pupil_mm: Float[np.ndarray, " 3"],
) -> Piece:
    """Rings over the source's left eyeball with its cornea.

    Args:
        points_mm: The source's symmetric mean.
        faces: Its triangles.
        shell: Which of them are the outer shell of the left eye.
        pupil_mm: Middle of the pupil on it.
    """
    centre = eyeball_centre(points_mm[np.unique(faces[shell])].astype(np.float64))
    axis = (pupil_mm - centre) / np.linalg.norm(pupil_mm - centre)
    aside = np.cross((0.0, 1.0, 0.0), axis)
    aside /= np.linalg.norm(aside)
    up = np.cross(axis, aside)
    turn = 2.0 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    around = np.cos(turn)[:, None] * aside + np.sin(turn)[:, None] * up
    angle = np.deg2rad(RINGS_DEG)[:, None, None]
    rings = np.cos(angle) * axis + np.sin(angle) * around
    directions = np.concatenate((axis[None], rings.reshape(-1, 3), -axis[None]))
    radius_mm = np.linalg.norm(points_mm[np.unique(faces[shell])] - centre, axis=1)
    # From a sphere about the shell inwards: the nearest place is that below.
    outside = centre + 1.02 * radius_mm.max() * directions
    found = nearest_on_surface(outside, points_mm, faces, shell)
    for _ in range(2):
        found = nearest_on_surface(_as_far(found, points_mm, faces, centre, directions), points_mm, faces, shell)
    rings_mm = _as_far(found, points_mm, faces, centre, directions)
    uv, uv_faces = _texture(turn)
    own_faces = uv_faces.copy()
    own_faces[own_faces >= len(directions)] = len(directions) - 1
    return Piece(rings_mm, faces[found.face], found.barycentric, own_faces, uv, uv_faces)


def _as_far(
    found: SurfacePoints,
    points_mm: Float[np.ndarray, "source 3"],
    faces: Int[np.ndarray, "face 3"],
    centre: Float[np.ndarray, " 3"],
    directions: Float[np.ndarray, "point 3"],
) -> Float[np.ndarray, "point 3"]:
    """Places in the directions, as far from the centre as what was found."""
    surface = (points_mm[faces[found.face]] * found.barycentric[..., None]).sum(1)
    return centre + np.linalg.norm(surface - centre, axis=1, keepdims=True) * directions


def uv_of(angle_deg: Float[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
    """Distance from the pupil in the texture, as a share of the height of the tile: the iris is large in it."""
    whole = 1.0 - np.exp(-180.0 / _UV_DEG)
    return _UV_RADIUS * (1.0 - np.exp(-np.asarray(angle_deg) / _UV_DEG)) / whole


def _texture(turn: Float[np.ndarray, " segment"]) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """A disc about the pupil, in the right half of the tile; the pole at the back has a place for each segment.

    The texture's last rows are those places; the first of them stands in for the pole among the vertices.
    """
    count = len(turn)
    # As seen from the front: the eye's left is to the right.
    discs = [uv_of(np.array(RINGS_DEG))[:, None] * np.cos(turn), uv_of(np.array(RINGS_DEG))[:, None] * np.sin(turn)]
    middle = turn + np.pi / count
    back = uv_of(np.array([180.0]))[0]
    x = np.concatenate(([0.0], discs[0].ravel(), back * np.cos(middle)))
    y = np.concatenate(([0.0], discs[1].ravel(), back * np.sin(middle)))
    uv = np.stack((0.75 + 0.5 * x, 0.5 + y), -1)
    index = 1 + np.arange(len(RINGS_DEG) * count).reshape(-1, count)
    after = np.roll(index, -1, axis=1)
    front = np.stack((np.zeros(count, int), index[0], after[0]), -1)
    poles = 1 + index.size + np.arange(count)
    behind = np.stack((index[-1], poles, after[-1]), -1)
    a, b, c, d = index[:-1], index[1:], after[1:], after[:-1]
    quads = np.concatenate((np.stack((a, b, c), -1).reshape(-1, 3), np.stack((a, c, d), -1).reshape(-1, 3)))
    return uv, np.concatenate((front, quads, behind))
