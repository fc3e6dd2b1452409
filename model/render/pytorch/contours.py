"""Occluding contours between pixels and their blending in plain PyTorch, on any device.

The method is that of `model.render.cpu.contours`, which explains it; all pairs of pixels walk over the mesh at once,
those that have arrived drop out. Vertices come as a table (2 batch vertex, 2) of (along, across) coordinates: (x, y)
of the whole batch for pairs in a row, then (y, x) for pairs in a column, so that one walk serves both.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64
from torch import Tensor

from common.tensor_groups import map_tensors, merge_tensors

_MAX_STEPS = 512


@dataclass(frozen=True)
class Topology:
    """What a walk asks of a mesh, by corner 3 * face + k.

    Attributes:
        apex: Vertex at the corner.
        start: Vertex where the opposite edge starts.
        end: Vertex where it ends.
        opposite: The corner that looks at the same edge from the other side, -1 if there is none.
    """

    apex: Int64[Tensor, "corner"]
    start: Int64[Tensor, "corner"]
    end: Int64[Tensor, "corner"]
    opposite: Int64[Tensor, "corner"]

    @classmethod
    def of(cls, faces: Int[Tensor, "face 3"], opposite: Int[Tensor, "corner"]) -> "Topology":
        """Build the tables from faces and their corner table."""
        corners = faces.long()
        return cls(corners.flatten(), corners.roll(-1, 1).flatten(), corners.roll(-2, 1).flatten(), opposite.long())


@dataclass(frozen=True)
class _Walks:
    """Walks from a pixel centre to the next one, one entry each.

    Attributes:
        here: Flat pixel (batch height width) of the pair's first pixel.
        there: Flat pixel of its second.
        base: Row of vertex 0 in the vertex table.
        near: Triangle where the walk starts.
        far: Triangle seen at its end, -1 for the background.
        position: Coordinate along the pair's axis where the walk starts.
        level: Coordinate across it.
        direction: +1 from the first pixel to the second, -1 back.
        may_turn: The walk has not yet been tried from the other end.
        corner: Looks at the edge the walk comes to next.
        distance: From the start to that edge.
    """

    here: Int64[Tensor, "walk"]
    there: Int64[Tensor, "walk"]
    base: Int64[Tensor, "walk"]
    near: Int64[Tensor, "walk"]
    far: Int64[Tensor, "walk"]
    position: Float64[Tensor, "walk"]
    level: Float64[Tensor, "walk"]
    direction: Float64[Tensor, "walk"]
    may_turn: Bool[Tensor, "walk"]
    corner: Int64[Tensor, "walk"]
    distance: Float64[Tensor, "walk"]

    def take(self, which: Tensor | slice) -> "_Walks":
        """Those of a mask or a range."""
        return map_tensors(self, lambda values: values[which])

    @staticmethod
    def join(parts: "list[_Walks]") -> "_Walks":
        """One list of several."""
        return merge_tensors(parts, torch.cat)


def blend(
    image: Float[Tensor, "batch height width channel"],
    face_index: Int32[Tensor, "batch height width"],
    depth_mm: Float[Tensor, "batch height width"],
    vertices_image: Float[Tensor, "batch vertex 3"],
    topology: Topology,
) -> Float[Tensor, "batch height width channel"]:
    """Blend the pixels on both sides of every occluding contour; gradients flow to the image and the vertices."""
    flat = vertices_image[..., :2].double().flatten(0, 1)
    table = torch.cat((flat, flat.flip(-1)))
    found = _find_contours(table.detach(), face_index, depth_mm.detach(), vertices_image.shape[1], topology)
    weights = _weights(table, found, topology)
    # Less than half way the contour's own pixel takes the neighbour's colour, beyond it the neighbour takes its.
    here_takes = (found.direction > 0) == (found.distance.clamp(min=0.0) < 0.5)
    into = torch.where(here_takes, found.here, found.there)
    of = torch.where(here_takes, found.there, found.here)
    colors = image.flatten(0, 2)
    totals = torch.zeros(len(colors), dtype=weights.dtype, device=weights.device).index_add(0, into, weights)
    weights = (weights / totals.index_select(0, into).clamp(min=1.0)).to(image.dtype)
    difference = colors.index_select(0, of) - colors.index_select(0, into)
    return colors.index_add(0, into, weights[:, None] * difference).view_as(image)


def _weights(table: Float64[Tensor, "row 2"], found: _Walks, topology: Topology) -> Float64[Tensor, "walk"]:
    """Weight of each blend, |distance - 1/2| times the squared cosine of the contour's slope."""
    start = table.index_select(0, found.base + topology.start[found.corner])
    end = table.index_select(0, found.base + topology.end[found.corner])
    crossing = _crossing(start, end, found.level, found.position, found.direction)
    distance = crossing + (crossing.detach().clamp(min=0.0) - crossing.detach())
    along, across = (end - start).unbind(-1)
    # Not abs(): a contour exactly half way moves its pixel too.
    reach = torch.where(distance >= 0.5, distance - 0.5, 0.5 - distance)
    return reach * across * across / (along * along + across * across)


def _crossing(
    start: Float64[Tensor, "*walk 2"],
    end: Float64[Tensor, "*walk 2"],
    level: Float64[Tensor, "*walk"],
    position: Float64[Tensor, "*walk"],
    direction: Float64[Tensor, "*walk"],
) -> Float64[Tensor, "*walk"]:
    """Distance from a pixel centre, along the pair's axis, to where the line through an edge is met."""
    slope = (end[..., 0] - start[..., 0]) / (end[..., 1] - start[..., 1])
    return (start[..., 0] + (level - start[..., 1]) * slope - position) * direction


@torch.no_grad()
def _find_contours(
    table: Float64[Tensor, "row 2"],
    face_index: Int32[Tensor, "batch height width"],
    depth_mm: Float[Tensor, "batch height width"],
    vertex_count: int,
    topology: Topology,
) -> _Walks:
    """Walk between all neighbouring pixels that show different triangles, return the walks that met a contour."""
    batch, height, width = face_index.shape
    walks = _Walks.join([_pairs(face_index.long(), depth_mm, along, vertex_count) for along in (0, 1)])
    walks = _first_exits(table, walks, topology)
    found = [walks.take(slice(0, 0))]
    for _ in range(_MAX_STEPS):
        if not len(walks.here):
            break
        hidden = walks.distance > 1.0
        # The nearer surface may run on behind the other pixel's, whose contour is then the one seen.
        turned = _first_exits(table, _turn(walks.take(hidden & walks.may_turn & (walks.far >= 0))), topology)
        walks = walks.take(~hidden)
        other = topology.opposite[walks.corner]
        ends_here = (other < 0) | _folds(table, walks, topology)
        found.append(walks.take(ends_here))
        goes_on = ~ends_here & (other // 3 != walks.far)
        walks = _Walks.join([_advance(table, walks.take(goes_on), topology), turned])
    return _Walks.join(found)


def _pairs(
    face_index: Int64[Tensor, "batch height width"],
    depth_mm: Float[Tensor, "batch height width"],
    along: int,
    vertex_count: int,
) -> _Walks:
    """Neighbours of different triangles in rows (along 0) or columns (1); the walk starts at the nearer one."""
    batch, height, width = face_index.shape
    size = (height, width - 1) if along == 0 else (height - 1, width)
    first = (slice(None), slice(0, size[0]), slice(0, size[1]))
    second = (slice(None), slice(along, None), slice(1 - along, None))
    image, row, column = (face_index[first] != face_index[second]).nonzero().unbind(1)
    here = (image * height + row) * width + column
    there = here + (width if along else 1)
    face_here, face_there = face_index.flatten()[here], face_index.flatten()[there]
    depth = depth_mm.flatten()
    from_here = (face_there < 0) | ((face_here >= 0) & (depth[here] <= depth[there]))
    start = (row if along else column).double()
    return _Walks(
        here=here,
        there=there,
        base=(along * batch + image) * vertex_count,
        near=torch.where(from_here, face_here, face_there),
        far=torch.where(from_here, face_there, face_here),
        position=torch.where(from_here, start + 0.5, start + 1.5),
        level=(column if along else row).double() + 0.5,
        direction=torch.where(from_here, 1.0, -1.0).double(),
        may_turn=torch.ones_like(from_here),
        corner=torch.zeros_like(here),
        distance=torch.zeros_like(start),
    )


def _turn(walks: _Walks) -> _Walks:
    """The same walks from their other ends."""
    return replace(
        walks,
        near=walks.far,
        far=walks.near,
        position=walks.position + walks.direction,
        direction=-walks.direction,
        may_turn=torch.zeros_like(walks.may_turn),
    )


def _first_exits(table: Float64[Tensor, "row 2"], walks: _Walks, topology: Topology) -> _Walks:
    """Find the edges through which walks leave their first triangles; those that find none are left out."""
    corners = 3 * walks.near[:, None] + torch.arange(3, device=walks.near.device)
    base, level = walks.base[:, None], walks.level[:, None].expand(-1, 3)
    start, end = table[base + topology.start[corners]], table[base + topology.end[corners]]
    crosses = (start[..., 1] >= level) != (end[..., 1] >= level)
    place, direction = walks.position[:, None].expand(-1, 3), walks.direction[:, None].expand(-1, 3)
    distances = torch.where(crosses, _crossing(start, end, level, place, direction), -torch.inf)
    distance, k = distances.max(dim=1)
    walks = replace(walks, corner=3 * walks.near + k, distance=distance)
    return walks.take(distance > -torch.inf)


def _folds(table: Float64[Tensor, "row 2"], walks: _Walks, topology: Topology) -> Bool[Tensor, "walk"]:
    """Whether both triangles lie on one side of the edge ahead: the surface turns away, or is seen edge-on from here.

    Where there is no other triangle the answer means nothing.
    """
    corner = walks.corner
    start, end = table[walks.base + topology.start[corner]], table[walks.base + topology.end[corner]]
    sides = []
    for tip in (topology.apex[corner], topology.apex[topology.opposite[corner].clamp(min=0)]):
        point = table[walks.base + tip]
        along, across = (end - start).unbind(-1)
        sides.append(along * (point[:, 1] - start[:, 1]) - across * (point[:, 0] - start[:, 0]))
    return sides[0] * sides[1] >= 0.0


def _advance(table: Float64[Tensor, "row 2"], walks: _Walks, topology: Topology) -> _Walks:
    """Cross the edge ahead; of the two far edges a walk leaves through the one with ends on both sides of its line."""
    other = topology.opposite[walks.corner]
    face = other - other % 3
    following, last = face + (other + 1) % 3, face + (other + 2) % 3
    tip, after = table[walks.base + topology.apex[other]], table[walks.base + topology.apex[following]]
    same_side = (tip[:, 1] >= walks.level) == (after[:, 1] >= walks.level)
    end = torch.where(same_side[:, None], table[walks.base + topology.apex[last]], after)
    distance = _crossing(tip, end, walks.level, walks.position, walks.direction)
    return replace(walks, corner=torch.where(same_side, following, last), distance=distance)
