"""`Visibility`: which of a shared set of distant directions each point sees, traced once and kept as bits.

Every distant light basis is weighed with the same bits, so that trying another basis, or none, costs no ray.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.refine.raytrace.light_basis import LightBasis, fibonacci_directions
from model.refine.raytrace.pixel_surface import ShadingPoints, offset_origins
from model.refine.raytrace.ray_queries import RayQueries

_PAIRS_PER_BLOCK = 1 << 22
"""Point-direction pairs handled at once: 16 MB for each float32 of a pair."""


@dataclass(frozen=True)
class Visibility:
    """What P points see of D directions.

    Attributes:
        directions: Fibonacci lattice, each direction for a solid angle of 4 pi / D.
        bits: Set where the direction is in front of both normals and free; points packed by eights along the last
            axis.
    """

    directions: Float[Tensor, "direction 3"]
    bits: UInt8[np.ndarray, "direction eighth"]

    def blocks(self, points: ShadingPoints) -> Iterator[tuple[slice, Float[Tensor, "block direction"]]]:
        """The points in blocks, with max(0, n . w) x visibility x solid angle / pi for each direction."""
        step = 8 * max(1, _PAIRS_PER_BLOCK // (8 * len(self.directions)))
        share = 4.0 / len(self.directions)
        for start in range(0, len(points), step):
            block = slice(start, min(start + step, len(points)))
            packed = self.bits[:, start // 8 : -(-block.stop // 8)]
            seen = np.unpackbits(packed, axis=1, count=block.stop - start)
            cosines = (self.directions @ points.normal[block].T).mul_(share)
            yield block, (cosines * torch.from_numpy(seen)).T


def trace_visibility(points: ShadingPoints, rays: RayQueries | None, direction_count: int) -> Visibility:
    """Send a ray from each point into each direction before it.

    Args:
        points: The points.
        rays: The head; None for the ablation in which nothing throws a shadow.
        direction_count: D.

    Returns:
        The bits.
    """
    directions = fibonacci_directions(direction_count)
    origins_mm, toward = offset_origins(points), directions.numpy()
    bits = np.zeros((direction_count, -(-len(points) // 8)), np.uint8)
    step = max(1, _PAIRS_PER_BLOCK // max(1, len(points)))
    for start in range(0, direction_count, step):
        some = directions[start : start + step]
        # One direction after the other: neighbouring rays then go the same way, which Embree likes.
        free = ((some @ points.normal.T) > 0.0) & ((some @ points.geometric_normal.T) > 0.0)
        free = free.numpy()
        if rays is not None:
            direction, point = np.nonzero(free)
            free[direction, point] = ~rays.occluded(origins_mm[point], toward[start + direction])
        bits[start : start + step] = np.packbits(free, axis=1)
    return Visibility(directions, bits)


def diffuse_table(points: ShadingPoints, visibility: Visibility, basis: LightBasis) -> Float[Tensor, "sample light"]:
    """Integral of basis radiance x visibility x max(0, n . w) / pi."""
    radiance = basis.radiance(visibility.directions)
    table = torch.empty(len(points), basis.count)
    for block, weights in visibility.blocks(points):
        torch.mm(weights, radiance, out=table[block])
    return table
