"""Priors of what the mesh decoder adds to the linear model: nothing, where the photograph does not ask for it."""

from jaxtyping import Float
from torch import Tensor

# How much more a residual costs on a vertex that the photograph does not show.
_UNSEEN_FACTOR = 4.0


def offset_prior(offsets_mm: Float[Tensor, "batch vertex 3"]) -> Float[Tensor, ""]:
    """Mean squared length of the offsets, mm^2: the linear model explains what it can (HRN's displacement term)."""
    return offsets_mm.square().sum(-1).mean()


def albedo_residual_prior(
    albedo_linear: Float[Tensor, "batch vertex 3"], seen: Float[Tensor, "batch vertex"]
) -> Float[Tensor, ""]:
    """Mean squared residual of the albedo, five times as dear where the photograph does not show the vertex.

    As Lin et al., "Towards High-Fidelity 3D Face Reconstruction from In-the-Wild Images", CVPR 2020, section 3.4,
    hold unseen texture to the linear model's.

    Args:
        albedo_linear: Residual of the albedo.
        seen: How far the photograph shows each vertex, [0, 1].
    """
    weight = 1.0 + _UNSEEN_FACTOR * (1.0 - seen.detach())
    return (weight * albedo_linear.square().sum(-1)).mean()
