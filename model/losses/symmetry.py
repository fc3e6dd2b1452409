"""Soft symmetry: a face's two sides have nearly the same skin."""

from jaxtyping import Float, Int
from torch import Tensor


def mirror_difference(
    values: Float[Tensor, "batch vertex channel"], mirror: Int[Tensor, " vertex"]
) -> Float[Tensor, ""]:
    """Mean absolute difference between per-vertex values and their mirror images.

    Absolute rather than squared, so that a mole may stay where it is (Wu et al., "unsup3d", CVPR 2020, make
    symmetry as soft). For vectors in model space negate x in the mirrored ones first.

    Args:
        values: Albedo or another quantity per vertex.
        mirror: The mirror table of the morphable model.
    """
    return (values - values[:, mirror]).abs().mean()
