"""Terms of heads whose truth is known: drawn ones."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from model.losses.config import LossConfig
from model.losses.likelihood import gaussian_likelihood
from model.losses.loop_back import loop_back
from model.losses.vertices import vertex_distance
from model.losses.weighting import Terms, weighted
from model.parameters import FaceParameters


def shape_terms(
    config: LossConfig,
    error_mm: Float[Tensor, "batch vertex 3"],
    neutral_error_mm: Float[Tensor, "batch vertex 3"],
    vertex_weight: Float[Tensor, " vertex"],
    sigma_mm: Float[Tensor, "batch vertex"] | None,
) -> Terms:
    """The weighted errors of posed and neutral vertices, and the former's likelihood under a standard deviation.

    The likelihood sees the error without gradient: one that trains both learns slowest where it errs most, for there
    it may call itself unsure (Seitzer et al., "On the pitfalls of heteroscedastic uncertainty estimation", ICLR 2022).
    """
    terms: dict[str, Callable[[], Float[Tensor, ""]]] = {
        "vertices": lambda: vertex_distance(error_mm, vertex_weight),
        "neutral_vertices": lambda: vertex_distance(neutral_error_mm, vertex_weight),
    }
    if sigma_mm is not None:
        terms["likelihood"] = lambda: gaussian_likelihood(error_mm.detach(), sigma_mm, vertex_weight)
    return weighted(config, terms)


def loop_back_terms(
    config: LossConfig,
    predicted: FaceParameters,
    true: FaceParameters,
    sample_weight: Float[Tensor, " batch"] | None = None,
) -> Terms:
    """The weighted error of recovered parameters, see `loop_back`."""
    return weighted(config, {"loop_back": lambda: loop_back(predicted, true, sample_weight)})
