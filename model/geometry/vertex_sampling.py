"""What a picture shows at the vertices of a mesh, without a rasterizer: on any device, in a few tensor operations."""

import torch
from jaxtyping import Float
from torch import Tensor

_CELL_PX = 2.0
"""Side of the depth map's cells: about the spacing of the vertices in a training crop."""
_HIDDEN_BEHIND_MM = 4.0
"""A vertex farther than this behind the nearest one of its cell, but for the slope of the surface, is hidden."""
_GRAZING_COSINE, _FULL_COSINE = 0.05, 0.3
"""Surfaces seen under less than the first are not seen, under more than the second fully."""


def sample_at_vertices(
    image: Float[Tensor, "batch channel height width"], vertices_image: Float[Tensor, "batch vertex 3"]
) -> Float[Tensor, "batch vertex channel"]:
    """Bilinear values of an image at projected vertices; the border's beyond it.

    Differentiable in both. Pixel centres lie at (0.5, 0.5), see `model.geometry.camera`.
    """
    height, width = image.shape[-2:]
    place = 2.0 * vertices_image[..., :2] / vertices_image.new_tensor([width, height]) - 1.0
    values = torch.nn.functional.grid_sample(image, place[:, :, None], align_corners=False, padding_mode="border")
    return values[..., 0].transpose(1, 2)


@torch.no_grad()
def vertex_visibility(
    vertices_image: Float[Tensor, "batch vertex 3"],
    vertices_camera_mm: Float[Tensor, "batch vertex 3"],
    normals: Float[Tensor, "batch vertex 3"],
    height: int,
    width: int,
) -> Float[Tensor, "batch vertex"]:
    """How well a picture shows each vertex, [0, 1]: inside it, facing the camera and not behind others.

    The vertices themselves are splatted into a coarse depth map. That needs a mesh whose triangles are not much larger
    than its cells of 2 px, as our head's in training crops.

    Args:
        vertices_image: (x_px, y_px, depth_mm).
        vertices_camera_mm: The same in camera space.
        normals: Their unit normals in camera space.
        height: Rows of the picture.
        width: Columns.
    """
    rows, columns = -(-height // int(_CELL_PX)), -(-width // int(_CELL_PX))
    x, y, depth_mm = vertices_image.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth_mm > 0)
    column = (x / _CELL_PX).long().clamp(0, columns - 1)
    row = (y / _CELL_PX).long().clamp(0, rows - 1)
    cell = row * columns + column
    far = torch.full_like(depth_mm, torch.inf)
    # Not `len`: an exported graph takes any batch.
    nearest = far.new_full((cell.shape[0], rows * columns), torch.inf)
    nearest = nearest.scatter_reduce(1, cell, torch.where(inside, depth_mm, far), "amin")
    towards = -torch.nn.functional.normalize(vertices_camera_mm, dim=-1)
    cosine = (normals * towards).sum(-1)
    # Within a cell a slanted surface itself reaches far in depth: by the cell's diagonal times the tangent.
    tangent = (1.0 - cosine.square()).clamp(min=0.0).sqrt() / cosine.clamp(min=_GRAZING_COSINE)
    slope_mm = tangent * (2.0**0.5 * _CELL_PX) * depth_mm / _focal_px(vertices_image, vertices_camera_mm)
    in_front = depth_mm < nearest.gather(1, cell) + _HIDDEN_BEHIND_MM + slope_mm
    facing = ((cosine - _GRAZING_COSINE) / (_FULL_COSINE - _GRAZING_COSINE)).clamp(0.0, 1.0)
    return facing * (inside & in_front).to(facing.dtype)


def _focal_px(
    vertices_image: Float[Tensor, "batch vertex 3"], vertices_camera_mm: Float[Tensor, "batch vertex 3"]
) -> Float[Tensor, "batch 1"]:
    """The focal length of a pinhole camera, from what it made of the vertices."""
    ray = vertices_camera_mm[..., 0] / -vertices_camera_mm[..., 2]
    spread = ray.amax(1) - ray.amin(1)
    return ((vertices_image[..., 0].amax(1) - vertices_image[..., 0].amin(1)) / spread.clamp(min=1e-9))[:, None]
