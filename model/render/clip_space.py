"""From our image space to the clip space of a hardware-like rasterizer (nvdiffrast's convention).

nvdiffrast divides clip space (x, y, z, w) by w; pixel (row, column) of an image of H x W then samples
x = 2 (column + 1/2) / W - 1 and y = 2 (row + 1/2) / H - 1, and of several triangles the least z wins. Its first row
is the one at y = -1, which OpenGL calls the bottom; ours is at the top, where our y is 0. So nothing is flipped.
With w proportional to depth its perspective-correct barycentrics are those of our pinhole camera.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from model.render.rasterizer import NEAR_MM

_MARGIN = 0.01
"""How much nearer and farther than the vertices the clipping planes are."""

_FARTHEST_PX = 1e6
"""Vertices farther than this from the image are taken for broken, as infinite ones are."""

_BEYOND = 1e9
"""z of a vertex whose triangles must vanish: clipping leaves less than 1e-8 of them, which no pixel centre meets."""

_NEAREST_WEIGHT_PER_PX = 0.05
"""w of the nearest vertex over the image's size. nvdiffrast adds 1e-6 to a triangle's area in clip space where it
divides gradients by it; this makes that about 1e-4 square pixels, so that only triangles seen edge-on are damped."""


def to_clip_space(
    vertices_image: Float[Tensor, "batch vertex 3"], height: int, width: int
) -> Float[Tensor, "batch vertex 4"]:
    """Convert vertices; nothing waits for the device.

    Triangles with a vertex at `NEAR_MM` or nearer, or with a broken one, are sent beyond the far plane.

    Args:
        vertices_image: (x_px, y_px, depth_mm).
        height: Rows of the image.
        width: Columns.

    Returns:
        (x, y, z, w) in single precision, differentiable but for z, which only orders triangles.
    """
    vertices = vertices_image.float()
    usable = (
        (vertices[..., 2] > NEAR_MM) & vertices.isfinite().all(-1) & (vertices[..., :2].abs() < _FARTHEST_PX).all(-1)
    )
    # Replaced before anything is computed from them: a NaN would come back in the gradient of `where`.
    x_px, y_px, depth_mm = torch.where(usable[..., None], vertices, vertices.new_tensor([0.0, 0.0, 1.0])).unbind(-1)
    with torch.no_grad():
        depths = vertices[..., 2]
        near = torch.where(usable, depths, torch.inf).amin(1, keepdim=True).clamp(max=1e30) * (1.0 - _MARGIN)
        far = torch.where(usable, depths, 0.0).amax(1, keepdim=True) * (1.0 + _MARGIN)
        far = torch.maximum(far, near * (1.0 + _MARGIN))
        ratio = near / far
        z = ((1.0 + ratio) * depth_mm - 2.0 * near) / (1.0 - ratio)
        scale = _NEAREST_WEIGHT_PER_PX * (height * width) ** 0.5 / near
    x, y = (2.0 * x_px / width - 1.0) * depth_mm, (2.0 * y_px / height - 1.0) * depth_mm
    clip = torch.stack((x, y, z, depth_mm), dim=-1) * scale[..., None]
    return torch.where(usable[..., None], clip, clip.new_tensor([0.0, 0.0, _BEYOND, 1.0]))
