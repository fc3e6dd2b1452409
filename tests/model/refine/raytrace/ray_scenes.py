"""Small scenes with closed forms: a ball, a floor beside a wall, a closed room."""

from functools import cache

import numpy as np
import torch
import trimesh
from torch import Tensor
from torch.nn.functional import normalize

from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.pixel_surface import HeadGeometry, PixelSurface, ShadingPoints, pixel_surface

UP = torch.tensor([0.0, 1.0, 0.0])


def geometry(vertices_mm: np.ndarray, faces: np.ndarray) -> HeadGeometry:
    uv = np.zeros((len(vertices_mm), 2), np.float32)
    return HeadGeometry(
        torch.from_numpy(np.asarray(vertices_mm, np.float32)),
        torch.from_numpy(np.asarray(faces, np.int32)),
        torch.from_numpy(uv),
        torch.from_numpy(np.asarray(faces, np.int32)),
    )


def rays_of(scene: HeadGeometry, threads: int = 1) -> EmbreeRays:
    return EmbreeRays(scene.vertices_mm.numpy(), scene.faces.numpy(), threads)


@cache
def ball(subdivisions: int = 5) -> HeadGeometry:
    """Radius 100 mm, its middle 800 mm before the camera."""
    mesh = trimesh.creation.icosphere(subdivisions, 100.0)
    return geometry(mesh.vertices + (0.0, 0.0, -800.0), mesh.faces)


def camera(size_px: int) -> Tensor:
    """Sees 256 mm of a plane 800 mm away."""
    focal_px = 800.0 * size_px / 256.0
    return torch.tensor([[focal_px, 0.0, size_px / 2], [0.0, focal_px, size_px / 2], [0.0, 0.0, 1.0]])


def ball_surface(size_px: int = 24, samples_per_side: int = 1, min_cosine: float = 0.3) -> PixelSurface:
    scene = ball()
    return pixel_surface(scene, rays_of(scene), camera(size_px), size_px, samples_per_side, min_cosine=min_cosine)


def wall(distance_mm: float, height_mm: float, half_length_mm: float = 1e5) -> HeadGeometry:
    """Upright, at x = -distance, facing +x, from the floor (y = 0) up."""
    x, far = -distance_mm, half_length_mm
    corners = [[x, 0.0, far], [x, 0.0, -far], [x, height_mm, -far], [x, height_mm, far]]
    return geometry(np.array(corners), np.array([[0, 1, 2], [0, 2, 3]]))


def wall_share(distance_mm: float, height_mm: float) -> float:
    """How much of a floor point's cosine-weighted sky an endless wall hides: (1 - cos(atan(h / d))) / 2."""
    return 0.5 * (1.0 - distance_mm / float(np.hypot(distance_mm, height_mm)))


def floor_points(count: int = 1) -> ShadingPoints:
    up = UP.expand(count, 3).contiguous()
    return ShadingPoints(torch.zeros(count, 3), up, up)


def unit(*values: float) -> Tensor:
    return normalize(torch.tensor([values]), dim=-1)
