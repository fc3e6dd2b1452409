"""Small meshes for the renderer's tests."""

import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from model.geometry.rotation import rotation_from_euler


def sphere(subdivisions: int = 3) -> tuple[Float[Tensor, "vertex 3"], Int[Tensor, "face 3"]]:
    """A unit sphere, double precision, counter-clockwise from outside."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return torch.tensor(mesh.vertices.copy()), torch.tensor(mesh.faces.copy()).int()


def turned_sphere(subdivisions: int) -> tuple[Float[Tensor, "vertex 3"], Int[Tensor, "face 3"]]:
    """The same, turned so that no triangle is seen exactly edge-on, where the contour jumps from edge to edge."""
    vertices, faces = sphere(subdivisions)
    return vertices @ rotation_from_euler(torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64)).T, faces


def random_triangles(
    count: int, side: float, seed: int, batch: int = 1
) -> tuple[Float[Tensor, "batch vertex 3"], Int[Tensor, "face 3"]]:
    """Unconnected triangles in image space that overlap each other and the border, at depths 500 to 900 mm."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(batch, 3 * count, 3, generator=generator, dtype=torch.float64)
    scale = torch.tensor([1.4 * side, 1.4 * side, 400.0], dtype=torch.float64)
    offset = torch.tensor([-0.2 * side, -0.2 * side, 500.0], dtype=torch.float64)
    return unit * scale + offset, torch.arange(3 * count).view(-1, 3).int()


def square(left: float, top: float, side: float, depth_mm: float) -> tuple[Float[Tensor, "1 4 3"], Int[Tensor, "2 3"]]:
    """A square of two triangles in image space."""
    corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    vertices = torch.tensor([[(x, y, depth_mm) for x, y in corners]], dtype=torch.float64)
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
