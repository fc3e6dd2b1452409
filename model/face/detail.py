"""What the mesh decoder adds to the linear model, and the local frames its offsets are stated in."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.geometry.mesh import vertex_normals


@dataclass(frozen=True)
class Detail:
    """Per-vertex additions to the linear model.

    Attributes:
        offsets_mm: Added to the vertices in model space, before pose.
        albedo_linear: Added to the albedo, linear RGB.
        sigma_mm: Standard deviation of each coordinate of a vertex, of the head without place and scale.
        visibility: How well the photograph shows the vertex, [0, 1]; no gradient.
    """

    offsets_mm: Float[Tensor, "batch vertex 3"]
    albedo_linear: Float[Tensor, "batch vertex 3"]
    sigma_mm: Float[Tensor, "batch vertex"]
    visibility: Float[Tensor, "batch vertex"]


def local_frames(vertices_mm: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> Float[Tensor, "vertex 3 3"]:
    """An orthonormal frame on each vertex of a head: rows are two tangents and the outward normal.

    The first tangent lies level (perpendicular to up) and points to the subject's left on the front, so that frames
    of mirrored vertices are mirror images up to its sign.
    """
    normal = vertex_normals(vertices_mm[None], faces)[0]
    up = normal.new_tensor([0.0, 1.0, 0.0]).expand_as(normal)
    side = torch.linalg.cross(up, normal, dim=-1)
    # On the very crown up is the normal: any level direction will do.
    flat = side.norm(dim=-1, keepdim=True) < 1e-4
    side = torch.where(flat, side.new_tensor([1.0, 0.0, 0.0]).expand_as(side), side)
    side = torch.nn.functional.normalize(side - (side * normal).sum(-1, keepdim=True) * normal, dim=-1)
    return torch.stack((side, torch.linalg.cross(normal, side, dim=-1), normal), dim=1)
