"""What nvdiffrast's documentation and source say that its operations compute, written down slowly for a CPU.

Every triangle is held against every pixel centre in clip space. Whatever the real operations refuse is refused. There
is no rounding of vertices to 1/16 pixel, and clipping is done by pixel: both change only what is next to an edge.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class RasterizeCudaContext:
    """Counts itself: one is enough for a device."""

    made = 0

    def __init__(self, device: Any = None) -> None:
        type(self).made += 1


class TopologyHash:
    """Counts itself likewise."""

    made = 0


def rasterize(
    glctx: RasterizeCudaContext,
    pos: Tensor,
    tri: Tensor,
    resolution: Sequence[int],
    ranges: None = None,
    grad_db: bool = True,
) -> tuple[Tensor, Tensor]:
    """(u, v, z/w, triangle + 1) with u and v the weights of the triangle's corners 0 and 1."""
    assert isinstance(glctx, RasterizeCudaContext)
    _check(pos, tri)
    assert pos.ndim == 3
    assert pos.shape[-1] == 4
    height, width = tuple(resolution)
    # The first row is at y = -1, the first column at x = -1; centres lie half a pixel inside.
    y = (2.0 * torch.arange(height) + 1.0) / height - 1.0
    x = (2.0 * torch.arange(width) + 1.0) / width - 1.0
    y, x = (grid[None, ..., None] for grid in torch.meshgrid(y, x, indexing="ij"))
    corners = pos[:, tri.long()][:, None, None]
    relative_x = corners[..., 0] - x[..., None] * corners[..., 3]
    relative_y = corners[..., 1] - y[..., None] * corners[..., 3]
    areas = [
        relative_x[..., (k + 1) % 3] * relative_y[..., (k + 2) % 3]
        - relative_y[..., (k + 1) % 3] * relative_x[..., (k + 2) % 3]
        for k in range(3)
    ]
    area = torch.stack(areas, dim=-1)
    total = area.sum(-1)
    weights = area / torch.where(total == 0, 1.0, total)[..., None]
    z_over_w = ((area * corners[..., 2]).sum(-1) / (area * corners[..., 3]).sum(-1)).detach()
    seen = (weights > 0).all(-1) & (z_over_w.abs() <= 1.0) & (corners[..., 3] > 0).all(-1)
    depth, winner = torch.where(seen, z_over_w, torch.inf).detach().min(-1)
    hit = depth < torch.inf
    u, v = (weights[..., k].gather(-1, winner[..., None])[..., 0] for k in range(2))
    out = torch.stack((u, v, depth, (winner + 1).to(u.dtype)), dim=-1)
    return torch.where(hit[..., None], out, 0.0), torch.zeros(*hit.shape, 4)


def interpolate(
    attr: Tensor, rast: Tensor, tri: Tensor, rast_db: None = None, diff_attrs: None = None
) -> tuple[Tensor, Tensor]:
    """Attributes weighted with (u, v, 1 - u - v); 0 where the triangle's number is 0."""
    _check(attr, tri, rast)
    assert attr.ndim == 3
    assert len(attr) in (1, len(rast))
    number = rast[..., 3].long()
    rows = tri.long()[(number - 1).clamp(min=0)]
    corners = torch.stack([attr[i % len(attr)][rows[i]] for i in range(len(rast))])
    u, v = rast[..., :1], rast[..., 1:2]
    image = u * corners[..., 0, :] + v * corners[..., 1, :] + (1.0 - u - v) * corners[..., 2, :]
    return torch.where((number > 0)[..., None], image, 0.0), image.new_zeros(*number.shape, 0)


def antialias_construct_topology_hash(tri: Tensor) -> TopologyHash:
    """A stand-in that knows it was made."""
    _check(tri)
    TopologyHash.made += 1
    return TopologyHash()


def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology_hash: TopologyHash) -> Tensor:
    """No blending, only the checks."""
    _check(color, rast, pos, tri)
    assert isinstance(topology_hash, TopologyHash)
    assert color.shape[:3] == rast.shape[:3]
    assert len(color) == len(pos)
    assert rast.shape[-1] == pos.shape[-1] == 4
    return color.clone()


def _check(*tensors: Tensor) -> None:
    """Contiguous, single precision or int32, and never empty."""
    for tensor in tensors:
        assert tensor.is_contiguous()
        assert tensor.dtype in (torch.float32, torch.int32)
        assert tensor.numel() > 0
