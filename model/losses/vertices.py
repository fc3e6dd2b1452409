"""Vertices against those of a head whose shape is known."""

from jaxtyping import Float
from torch import Tensor


def vertex_distance(
    error_mm: Float[Tensor, "batch vertex 3"], vertex_weight: Float[Tensor, " vertex"]
) -> Float[Tensor, ""]:
    """Weighted mean distance in mm, as MICA's loss on registered scans (Zielonka et al., ECCV 2022, there L1).

    Args:
        error_mm: Answer minus truth, aligned (`model.geometry.procrustes`).
        vertex_weight: Weight of each vertex.
    """
    # The root's slope at 0 is kept finite by a hundredth of a millimetre.
    distance_mm = (error_mm.square().sum(-1) + 1e-4).sqrt()
    return (distance_mm * vertex_weight).sum(-1).mean() / vertex_weight.sum().clamp(min=1e-6)
