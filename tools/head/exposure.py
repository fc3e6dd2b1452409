"""How open each place of a head is to the eyes of the world: 1 on a brow, 0 at the end of a nostril."""

import numpy as np
import torch
from jaxtyping import Float, Int

from model.geometry.mesh import vertex_normals
from model.render.backends import build_rasterizer

_DIRECTIONS, _SIDE_PX = 64, 384
_SURFACE_MM = 1.0
"""Farther behind the first surface that a direction meets a vertex is hidden."""
_FAR_MM = 1000.0


def exposure(
    vertices_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, " vertex"]:
    """Share of the directions above each vertex, weighed with the cosine, from which it is seen.

    Args:
        vertices_mm: Model space.
        faces: What hides what.
    """
    triangles = torch.from_numpy(np.ascontiguousarray(faces, np.int32))
    normals = vertex_normals(torch.from_numpy(vertices_mm.astype(np.float32))[None], triangles)[0].numpy()
    rasterizer = build_rasterizer("cpu")
    seen, all_of_it = np.zeros(len(vertices_mm)), np.full(len(vertices_mm), 1e-9)
    for direction in _sphere(_DIRECTIONS):
        aside = np.cross(direction, (0.0, 1.0, 0.0) if abs(direction[1]) < 0.9 else (1.0, 0.0, 0.0))
        aside /= np.linalg.norm(aside)
        local = vertices_mm @ np.stack((aside, -np.cross(direction, aside), -direction), axis=1)
        local -= local.min(0)
        local[:, :2] *= _SIDE_PX / local[:, :2].max()
        local[:, 2] += _FAR_MM
        fragments = rasterizer.rasterize(torch.from_numpy(local).float()[None], triangles, _SIDE_PX, _SIDE_PX)
        column, row = np.clip(local[:, :2].astype(int), 0, _SIDE_PX - 1).T
        visible = local[:, 2] - fragments.depth_mm[0].numpy()[row, column] < _SURFACE_MM
        cosine = np.clip(normals @ direction, 0.0, None)
        seen += cosine * visible
        all_of_it += cosine
    return seen / all_of_it


def _sphere(count: int) -> Float[np.ndarray, "direction 3"]:
    """Even directions: Fibonacci's lattice."""
    index = np.arange(count) + 0.5
    height, turn = 1.0 - 2.0 * index / count, np.pi * (1.0 + np.sqrt(5.0)) * index
    across = np.sqrt(1.0 - height**2)
    return np.stack((across * np.cos(turn), height, across * np.sin(turn)), axis=1)
