"""A hair shell as a textured mesh."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

from model.look.hair_grid import COLUMNS, ROWS, hair_grid
from model.look.hair_shell import HairShell
from model.look.hair_texture import HairTexture

COVER_CUTOFF = 0.5
"""Share of hair in the texture's cover from which a place is drawn."""


@dataclass(frozen=True)
class HairMesh:
    """Triangles of a shell where it has hair; what its texture does not cover is cut out when it is drawn.

    Attributes:
        vertices_mm: Model space, over the head at rest.
        welded: Equal numbers mark vertices of one place, on both sides of the texture's seam.
        faces: Counter-clockwise seen from outside.
        uv: v up.
        texture: Colour and cover.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    welded: Int[np.ndarray, " vertex"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "vertex 2"]
    texture: HairTexture


@dataclass(frozen=True)
class FaceHair:
    """What is known of the hair of a face.

    Attributes:
        skin_mask: How far each pixel of the photograph may be taken for the head's own texture, in [0, 1].
        mesh: Hair as a mesh; None for bald heads, and where it is not asked for.
    """

    skin_mask: Float[np.ndarray, "height width"]
    mesh: HairMesh | None


def hair_mesh(shell: HairShell, texture: HairTexture) -> HairMesh | None:
    """The mesh of a shell; None where nothing of it is covered.

    Args:
        shell: The shell.
        texture: Its texture.
    """
    points_mm = hair_grid().points_mm(shell.radius_mm)
    # The first column once more behind the last, where the texture ends; the crown as a row of its own.
    points_mm = np.concatenate((points_mm, points_mm[:, :1]), axis=1)
    crown = np.broadcast_to(points_mm[:1, :-1].mean(1, keepdims=True), points_mm[:1].shape)
    points_mm = np.concatenate((crown, points_mm))
    rows, columns = np.mgrid[: ROWS + 1, : COLUMNS + 1]
    uv = np.stack(((columns + 0.5) / COLUMNS, 1.0 - (rows - 0.5).clip(min=0.0) / ROWS), axis=-1)
    index = np.arange(rows.size).reshape(rows.shape)
    welded = index.copy()
    welded[:, -1] = index[:, 0]
    welded[0] = index[0, 0]
    # A cell is kept if any of its texels is drawn.
    side = len(texture.cover) // COLUMNS
    drawn = (texture.cover > 255 * COVER_CUTOFF).astype(np.uint8)
    drawn = np.concatenate((drawn, drawn[:, :side]), axis=1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    quads = np.stack((np.stack((a, c, b), -1), np.stack((b, c, d), -1)), axis=2)
    faces = quads.reshape(-1, 3)[np.repeat(_covered(drawn, uv[:-1, :-1], uv[1:, 1:]).ravel(), 2)]
    # At the crown two corners of a triangle are one.
    corners = welded.ravel()[faces]
    faces = faces[(corners != np.roll(corners, 1, axis=1)).all(1)]
    if not len(faces):
        return None
    used, renumbered = np.unique(faces, return_inverse=True)
    _, weld = np.unique(welded.ravel()[used], return_inverse=True)
    return HairMesh(
        vertices_mm=points_mm.reshape(-1, 3)[used].astype(np.float32),
        welded=weld.astype(np.int64),
        faces=renumbered.reshape(-1, 3).astype(np.int32),
        uv=uv.reshape(-1, 2)[used].astype(np.float32),
        texture=texture,
    )


def _covered(
    drawn: np.ndarray, upper_uv: Float[np.ndarray, "row column 2"], lower_uv: Float[np.ndarray, "row column 2"]
) -> np.ndarray:
    """Whether anything is drawn between the upper left and the lower right corner of each cell."""
    size = len(drawn)
    sums = cv2.integral(drawn)
    left = np.floor(upper_uv[..., 0] * size).astype(int).clip(0, drawn.shape[1])
    right = np.ceil(lower_uv[..., 0] * size).astype(int).clip(0, drawn.shape[1])
    top = np.floor((1.0 - upper_uv[..., 1]) * size).astype(int).clip(0, size)
    bottom = np.ceil((1.0 - lower_uv[..., 1]) * size).astype(int).clip(0, size)
    return (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]) > 0
