"""Terms of what the mesh decoder adds to the linear model."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from model.face.refinement import Refinement
from model.losses.config import LossConfig
from model.losses.refinement import albedo_residual_prior, offset_prior
from model.losses.smoothness import laplacian_smoothness
from model.losses.symmetry import mirror_difference
from model.losses.tables import LossTables
from model.losses.weighting import Terms, weighted


def refinement_terms(
    config: LossConfig,
    refinement: Refinement | None,
    tables: LossTables,
    skin: Float[Tensor, "batch vertex"] | None = None,
) -> Terms:
    """Weighted terms of a refinement; none for a model without.

    Args:
        config: Weights.
        refinement: What the decoder added.
        tables: Of the head model.
        skin: Where the label expects skin at the vertices' places in the photograph, [0, 1]; everywhere by default.
            What lies over other vertices is hair, hands or background, and no evidence of the head.
    """
    if refinement is None:
        return {}
    offsets, residual, seen = refinement.offsets_mm, refinement.albedo_linear, refinement.visibility
    if skin is not None:
        seen = seen * skin
    terms: dict[str, Callable[[], Float[Tensor, ""]]] = {
        "offset_prior": lambda: offset_prior(offsets),
        "offset_smoothness": lambda: laplacian_smoothness(offsets, tables.laplacian),
        "offset_symmetry": lambda: mirror_difference(offsets, tables.mirror, seen, vectors=True),
        "albedo_residual_prior": lambda: albedo_residual_prior(residual, seen),
        "albedo_residual_smoothness": lambda: laplacian_smoothness(residual, tables.laplacian),
        "albedo_residual_symmetry": lambda: mirror_difference(residual, tables.mirror, seen),
    }
    return weighted(config, terms)
