"""Likelihood: a standard deviation per vertex that says how far off the vertex is."""

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST_SIGMA_MM = 0.01
"""Nothing is known better than this; keeps the quotient finite."""


def gaussian_likelihood(
    error_mm: Float[Tensor, "batch vertex 3"],
    sigma_mm: Float[Tensor, "batch vertex"],
    vertex_weight: Float[Tensor, " vertex"] | None = None,
    sample_weight: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log-likelihood per coordinate of a Gaussian around each vertex, without its constant.

    `error^2 / (2 sigma^2) + log sigma` (Kendall and Gal, "What Uncertainties Do We Need in Bayesian Deep Learning
    for Computer Vision?", NeurIPS 2017, equation 5); smallest where sigma is the error's root mean square.

    Args:
        error_mm: Answer minus truth, in the frame in which sigma is meant.
        sigma_mm: Standard deviation of each coordinate of a vertex, positive.
        vertex_weight: Weight of each vertex, 1 by default.
        sample_weight: Weight of each face, 1 by default; 0 leaves it out.

    Returns:
        A scalar, negative where sigma is below 1 mm; 0 when nothing has a weight.
    """
    sigma = sigma_mm.clamp(min=_LEAST_SIGMA_MM)
    # Divided before squared: the square of a hopeless error over that of a tiny sigma would overflow sooner.
    surprise = 0.5 * (error_mm / sigma[..., None]).square().mean(-1) + sigma.log()
    weight = torch.ones_like(surprise)
    if vertex_weight is not None:
        weight = weight * vertex_weight
    if sample_weight is not None:
        weight = weight * sample_weight[:, None]
    # What has no weight may hold anything, infinities too: they must not become NaN.
    surprise = torch.where(weight > 0, surprise, torch.zeros_like(surprise))
    return (surprise * weight).sum() / weight.sum().clamp(min=1e-6)
