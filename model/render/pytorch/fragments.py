"""Barycentrics, depth and interpolation at given triangles, in plain differentiable PyTorch on any device."""

import torch
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64
from torch import Tensor

from model.render.cpu.kernels import GRADIENT_DAMPING_PX2
from model.render.rasterizer import Fragments


def fragments_of(
    face_index: Int32[Tensor, "batch height width"],
    vertices_image: Float[Tensor, "batch vertex 3"],
    faces: Int[Tensor, "face 3"],
) -> Fragments:
    """Work out what is seen at each pixel centre, differentiably, where it is known which triangle is.

    With E_i the edge function opposite corner i and a_i = E_i / z_i: w_i = a_i / sum(a), depth = sum(w_i z_i).
    Gradients of triangles that are nearly edge-on are faded out, as `model.render.cpu.kernels.rasterize_backward` does.

    Args:
        face_index: Triangle at each pixel, -1 on the background.
        vertices_image: (x_px, y_px, depth_mm).
        faces: Triangles.

    Returns:
        The fragments.
    """
    covered = face_index >= 0
    if not len(faces):
        blank = vertices_image.new_zeros(*face_index.shape, 3)
        return Fragments(face_index, blank, blank[..., 0])
    corners = _relative_corners(covered, _corner_rows(face_index, vertices_image.shape[1], faces), vertices_image)
    x, y, z = corners.unbind(-1)
    edges = x.roll(-1, -1) * y.roll(-2, -1) - x.roll(-2, -1) * y.roll(-1, -1)
    inverse = edges / z
    weights = inverse / inverse.sum(-1, keepdim=True)
    squared = edges.detach().sum(-1, keepdim=True) ** 2
    damping = squared / (squared + GRADIENT_DAMPING_PX2**2)
    exact = weights.detach().clamp(0.0, 1.0)
    weights = (exact / exact.sum(-1, keepdim=True) + damping * (weights - weights.detach())) * covered[..., None]
    depth_mm = (weights * z).sum(-1)
    return Fragments(face_index, weights.to(vertices_image.dtype), depth_mm.to(vertices_image.dtype))


def interpolate(
    attributes: Float[Tensor, "batch vertex channel"], fragments: Fragments, faces: Int[Tensor, "face 3"]
) -> Float[Tensor, "batch height width channel"]:
    """Weighted sum of the corners' attributes; 0 on the background."""
    channels = attributes.shape[-1]
    if not len(faces):
        return attributes.new_zeros(*fragments.face_index.shape, channels)
    rows = _corner_rows(fragments.face_index, attributes.shape[1], faces)
    corners = attributes.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, channels)
    # A product and a sum: einsum would run in half precision under autocast.
    return (fragments.barycentric.to(attributes.dtype)[..., None] * corners).sum(-2)


def _corner_rows(
    face_index: Int32[Tensor, "batch height width"], vertex_count: int, faces: Int[Tensor, "face 3"]
) -> Int64[Tensor, "batch height width 3"]:
    """Rows of the corners in the flattened (batch vertex) table; those of face 0 on the background."""
    first = torch.arange(len(face_index), device=face_index.device)[:, None, None, None] * vertex_count
    rows = faces.long().index_select(0, face_index.clamp(min=0).flatten()).view(*face_index.shape, 3)
    return rows + first


def _relative_corners(
    covered: Bool[Tensor, "batch height width"],
    rows: Int64[Tensor, "batch height width 3"],
    vertices_image: Float[Tensor, "batch vertex 3"],
) -> Float64[Tensor, "batch height width 3 3"]:
    """Corners around each pixel centre (x_px, y_px, depth_mm); any proper triangle on the background."""
    corners = vertices_image.double().flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, 3)
    _, height, width = covered.shape
    columns = torch.arange(width, device=rows.device, dtype=torch.float64) + 0.5
    lines = torch.arange(height, device=rows.device, dtype=torch.float64) + 0.5
    line, column = torch.meshgrid(lines, columns, indexing="ij")
    centre = torch.stack((column, line, torch.zeros_like(line)), dim=-1)[:, :, None]
    # Index selection and `where` keep gradients (and their NaN) of what is not seen away from the vertices.
    blank = corners.new_tensor([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
    return torch.where(covered[..., None, None], corners - centre, blank)
