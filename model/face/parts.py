"""The parts of a head that get a mesh, a material and a texture of their own: skin, eyes, inner mouth, teeth, tongue.

The head's texture space tells them apart: each part has a tile of it, the square of side 1 whose left edge is at
u = its place in `PART_NAMES`, and a texture of its own. A head whose texture space is the first tile alone is all skin.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.face.morphable_model import MorphableModel

PART_NAMES = ("skin", "eyes", "mouth", "teeth", "tongue")
"""In the order of their tiles. The lining of the eye sockets and the inner lids are skin."""


@dataclass(frozen=True)
class HeadPart:
    """Some of a head's triangles.

    Attributes:
        name: One of `PART_NAMES`.
        tile: What is taken from its u.
        faces: Which triangles of the head they are.
    """

    name: str
    tile: int
    faces: Int[np.ndarray, " face"]


def head_parts(morphable_model: MorphableModel) -> tuple[HeadPart, ...]:
    """The parts that a head has, in the order of their tiles.

    Raises:
        ValueError: If triangles lie in tiles that no part has, or across two.
    """
    uv = morphable_model.uv.cpu().numpy()[morphable_model.uv_faces.cpu().numpy()]
    tile = tiles(uv)
    return tuple(
        HeadPart(PART_NAMES[number], int(number), np.flatnonzero(tile == number)) for number in np.unique(tile)
    )


def tiles(uv: Float[np.ndarray, "face 3 2"]) -> Int[np.ndarray, " face"]:
    """The tile of each triangle of the texture.

    Raises:
        ValueError: If triangles lie in tiles that no part has, or across two.
    """
    tile = np.floor(uv[..., 0].mean(1)).astype(int)
    local = uv - np.stack((tile, np.zeros_like(tile)), -1)[:, None]
    if len(tile) and (local.min() < -1e-4 or local.max() > 1.0001 or tile.min() < 0 or tile.max() >= len(PART_NAMES)):
        raise ValueError(f"texture coordinates must lie within one of the {len(PART_NAMES)} tiles for each triangle")
    return tile
