"""A piece of the left half that is built anew instead of being thinned from the source: a row of teeth, an eyeball."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Piece:
    """A mesh of its own, bound to the source's surface, from which it takes its statistics.

    Attributes:
        vertices_mm: Positions on the mean head, x >= 0.
        corners: The source's vertices around the place of its surface that each follows.
        weights: Their weights, each row sums to 1.
        faces: Triangles, counter-clockwise seen from outside.
        uv: Texture vertices in [0, 1], in the right half of the tile.
        uv_faces: The triangles' texture vertices.
    """

    vertices_mm: Float[np.ndarray, "vertex 3"]
    corners: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "texture 2"]
    uv_faces: Int[np.ndarray, "face 3"]


def grid_faces(rows: Int[np.ndarray, "column row"]) -> Int[np.ndarray, "face 3"]:
    """Two triangles for each quad of a sheet; counter-clockwise where columns run right and rows up."""
    a, b, c, d = rows[:-1, :-1], rows[1:, :-1], rows[1:, 1:], rows[:-1, 1:]
    return np.concatenate([np.stack((a, b, c), -1).reshape(-1, 3), np.stack((a, c, d), -1).reshape(-1, 3)])


def joined(first: Piece, second: Piece) -> Piece:
    """Two pieces as one."""
    count, textures = len(first.vertices_mm), len(first.uv)
    return Piece(
        np.concatenate((first.vertices_mm, second.vertices_mm)),
        np.concatenate((first.corners, second.corners)),
        np.concatenate((first.weights, second.weights)),
        np.concatenate((first.faces, second.faces + count)),
        np.concatenate((first.uv, second.uv)),
        np.concatenate((first.uv_faces, second.uv_faces + textures)),
    )
