"""How much of the light from each of a few directions reaches each vertex of a head that shadows itself."""

import numpy as np
import torch
from jaxtyping import Float, Int

from model.render.backends import build_rasterizer

_SIDE_PX = 128
_MARGIN_PX = 2.0
_FAR_MM = 1e5
"""Depth at which the head stands before an eye in the light: so far that its view is parallel, as distant light is."""
_SLACK_MM = 3.0
"""How far behind what its pixel shows a vertex may lie and still be lit: a pixel of a surface seen aslant."""


def lit_from(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    directions: Float[np.ndarray, "light 3"],
) -> Float[np.ndarray, "vertex light"]:
    """How far each vertex is seen from each of a few distant lights, in [0, 1]; also where it faces away from them.

    Shadows come from a depth map for each direction (Williams, "Casting Curved Shadows on Curved Surfaces", SIGGRAPH
    1978): as fast as a ray tracer for so few directions, and it needs none.

    Args:
        vertices_mm: The head, in the space of the directions.
        faces: Its triangles.
        directions: Unit vectors towards the lights.
    """
    triangles = torch.from_numpy(faces)
    return np.stack([_lit(vertices_mm, triangles, direction) for direction in directions], axis=1)


def _lit(
    vertices_mm: Float[np.ndarray, "vertex 3"], faces: torch.Tensor, direction: Float[np.ndarray, "3"]
) -> Float[np.ndarray, " vertex"]:
    """Share of the four pixels around each vertex, seen from the light, that it does not lie behind."""
    aside = np.array([1.0, 0.0, 0.0] if abs(direction[0]) < 0.8 else [0.0, 1.0, 0.0])
    across = np.cross(aside, direction)
    across /= np.linalg.norm(across)
    seen = vertices_mm @ np.stack((across, np.cross(direction, across), direction), axis=1)
    lowest, highest = seen.min(0), seen.max(0)
    scale = (_SIDE_PX - 2.0 * _MARGIN_PX) / max(float((highest - lowest)[:2].max()), 1e-6)
    places_px = (seen[:, :2] - lowest[:2]) * scale + _MARGIN_PX
    depth_mm = _FAR_MM + highest[2] - seen[:, 2]
    image = np.concatenate((places_px, depth_mm[:, None]), axis=1).astype(np.float32)
    fragments = build_rasterizer("cpu").rasterize(torch.from_numpy(image)[None], faces, _SIDE_PX, _SIDE_PX)
    front_mm = fragments.depth_mm[0].numpy()
    front_mm[front_mm == 0.0] = 2.0 * _FAR_MM
    column, row = np.floor(places_px - 0.5).astype(int).clip(0, _SIDE_PX - 2).T
    reached = np.zeros(len(vertices_mm), np.float32)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        reached += depth_mm < front_mm[row + down, column + right] + _SLACK_MM
    return 0.25 * reached
