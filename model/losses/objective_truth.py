"""Terms of heads whose truth is known: drawn ones."""

from jaxtyping import Float
from torch import Tensor

from model.losses.config import LossConfig
from model.losses.likelihood import gaussian_likelihood
from model.losses.loop_back import loop_back
from model.losses.weighting import Terms, weighted
from model.parameters import FaceParameters


def likelihood_terms(
    config: LossConfig,
    error_mm: Float[Tensor, "batch vertex 3"],
    sigma_mm: Float[Tensor, "batch vertex"],
    vertex_weight: Float[Tensor, " vertex"] | None = None,
    sample_weight: Float[Tensor, " batch"] | None = None,
) -> Terms:
    """The weighted likelihood of vertices, see `gaussian_likelihood`."""
    return weighted(
        config, {"likelihood": lambda: gaussian_likelihood(error_mm, sigma_mm, vertex_weight, sample_weight)}
    )


def loop_back_terms(
    config: LossConfig,
    predicted: FaceParameters,
    true: FaceParameters,
    sample_weight: Float[Tensor, " batch"] | None = None,
) -> Terms:
    """The weighted error of recovered parameters, see `loop_back`."""
    return weighted(config, {"loop_back": lambda: loop_back(predicted, true, sample_weight)})
