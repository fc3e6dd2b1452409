"""The nearest triangle at every pixel centre in plain PyTorch, on any device that has double precision.

Each triangle is spread over the pixels of its bounding box, and `scatter_reduce` keeps the nearest. It computes what
`model.render.cpu.kernels.rasterize` computes, expression for expression, so that the same triangle wins to the bit.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int, Int32, Int64
from torch import Tensor

from model.render.cpu.kernels import MIN_DOUBLE_AREA_PX2
from model.render.rasterizer import NEAR_MM

_CANDIDATES_PER_PASS = 2**23
"""Pairs of a triangle and a pixel that are looked at together: about 1 GB of memory."""


@dataclass(frozen=True)
class _Triangles:
    """Triangles that may cover a pixel centre.

    Attributes:
        image: Batch element.
        face: Row of `faces`.
        left: First column whose centres can be covered.
        top: First row.
        columns: Columns of the box.
        rows: Rows of the box.
        origin: Where the edge opposite each corner starts, px.
        direction: Along that edge, px.
        inside: Sign of the edge function inside the triangle, +1 or -1.
        depth_mm: Depth of each corner.
    """

    image: Int64[Tensor, "triangle"]
    face: Int64[Tensor, "triangle"]
    left: Int64[Tensor, "triangle"]
    top: Int64[Tensor, "triangle"]
    columns: Int64[Tensor, "triangle"]
    rows: Int64[Tensor, "triangle"]
    origin: Float64[Tensor, "3 2 triangle"]
    direction: Float64[Tensor, "3 2 triangle"]
    inside: Float64[Tensor, "3 triangle"]
    depth_mm: Float64[Tensor, "3 triangle"]


@torch.no_grad()
def nearest_faces(
    vertices_image: Float[Tensor, "batch vertex 3"], faces: Int[Tensor, "face 3"], height: int, width: int
) -> Int32[Tensor, "batch height width"]:
    """Z-buffer all triangles. Of equal depths the lower face wins; -1 where there is none.

    Args:
        vertices_image: (x_px, y_px, depth_mm).
        faces: Triangles.
        height: Rows of the image.
        width: Columns.

    Returns:
        Row of `faces` seen at each pixel centre.
    """
    triangles = _set_up(vertices_image, faces.long(), height, width)
    pixel_count = len(vertices_image) * height * width
    nearest = torch.full((pixel_count,), torch.inf, dtype=torch.float64, device=vertices_image.device)
    nobody = len(faces)
    face_index = torch.full((pixel_count,), nobody, device=vertices_image.device)
    ends = torch.cumsum(triangles.columns * triangles.rows, dim=0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, _CANDIDATES_PER_PASS):
        candidate = torch.arange(start, min(start + _CANDIDATES_PER_PASS, total), device=ends.device)
        which = torch.searchsorted(ends, candidate, right=True)
        pixel, depth_mm = _candidate_depths(triangles, ends, candidate, which, height, width)
        before = nearest.clone()
        nearest.scatter_reduce_(0, pixel, depth_mm, "amin")
        face_index[nearest < before] = nobody
        wins = (depth_mm == nearest[pixel]) & (depth_mm < torch.inf)
        face_index.scatter_reduce_(0, pixel, torch.where(wins, triangles.face[which], nobody), "amin")
    return torch.where(face_index == nobody, -1, face_index).int().view(-1, height, width)


def _set_up(
    vertices_image: Float[Tensor, "batch vertex 3"], faces: Int64[Tensor, "face 3"], height: int, width: int
) -> _Triangles:
    """Bounding boxes and edges of the triangles in front of the camera that can cover a pixel centre."""
    x, y, z = vertices_image.double()[:, faces].flatten(0, 1).permute(2, 1, 0)
    left, right = _pixel_range(x, width)
    top, bottom = _pixel_range(y, height)
    double_area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    drawn = (z > NEAR_MM).all(0) & torch.isfinite(double_area) & (double_area.abs() >= MIN_DOUBLE_AREA_PX2)
    drawn &= (left <= right) & (top <= bottom)
    kept = drawn.nonzero()[:, 0]
    corners = torch.stack((x, y), dim=1)[..., kept]
    start, end = corners.roll(-1, dims=0), corners.roll(-2, dims=0)
    # The same origin and direction for both triangles of an edge: see `model.render.cpu.kernels._canonical_edge`.
    forward = (start[:, 0] < end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] <= end[:, 1]))
    origin = torch.where(forward[:, None], start, end)
    winding = torch.where(double_area[kept] > 0.0, 1.0, -1.0).double()
    return _Triangles(
        image=kept // max(len(faces), 1),
        face=kept % max(len(faces), 1),
        left=left[kept].long(),
        top=top[kept].long(),
        columns=(right - left)[kept].long() + 1,
        rows=(bottom - top)[kept].long() + 1,
        origin=origin,
        direction=torch.where(forward[:, None], end, start) - origin,
        inside=torch.where(forward, winding, -winding),
        depth_mm=z[:, kept],
    )


def _pixel_range(
    coordinate: Float64[Tensor, "3 triangle"], size: int
) -> tuple[Float64[Tensor, "triangle"], Float64[Tensor, "triangle"]]:
    """First and last pixel whose centres lie between the least and the greatest of three coordinates."""
    first = (coordinate.amin(0) - 0.5).ceil().clamp(min=0.0)
    return first, (coordinate.amax(0) - 0.5).floor().clamp(max=size - 1.0)


def _candidate_depths(
    triangles: _Triangles,
    ends: Int64[Tensor, "triangle"],
    candidate: Int64[Tensor, "candidate"],
    which: Int64[Tensor, "candidate"],
    height: int,
    width: int,
) -> tuple[Int64[Tensor, "candidate"], Float64[Tensor, "candidate"]]:
    """Flat pixel of each candidate and the depth of its triangle there, infinite outside the triangle."""
    columns = triangles.columns[which]
    place = candidate - (ends[which] - columns * triangles.rows[which])
    column, row = triangles.left[which] + place % columns, triangles.top[which] + place // columns
    x, y = column.double() + 0.5, row.double() + 0.5
    covered = torch.ones_like(column, dtype=torch.bool)
    areas, weights = [], []
    for k in range(3):
        origin, direction = triangles.origin[k][:, which], triangles.direction[k][:, which]
        inside = triangles.inside[k][which]
        edge = direction[0] * (y - origin[1]) - direction[1] * (x - origin[0])
        covered = covered & ((edge >= 0.0) == (inside > 0.0))
        areas.append(inside * edge)
        weights.append(areas[k] / triangles.depth_mm[k][which])
    total = weights[0] + weights[1] + weights[2]
    depth_mm = torch.where(covered & (total > 0.0), (areas[0] + areas[1] + areas[2]) / total, torch.inf)
    return (triangles.image[which] * height + row) * width + column, depth_mm
