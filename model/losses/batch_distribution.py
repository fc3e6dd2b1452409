"""Batch distribution: coefficients over a batch as a morphable model promises them, mean 0 and variance 1."""

from jaxtyping import Float
from torch import Tensor


def batch_distribution(coefficients: Float[Tensor, "batch component"]) -> Float[Tensor, ""]:
    """Squared mean of each component over the batch, plus the squared distance of its variance from 1.

    Genova et al., "Unsupervised Training for 3D Morphable Model Regression", CVPR 2018, section 3.3: a prior on each
    face alone draws all of them to the mean; this one asks for people who differ. Batches should hold many people:
    the variance of n of them is itself off by sqrt(2 / n).

    Args:
        coefficients: In standard deviations.

    Raises:
        ValueError: If the batch is a single face, which has no variance.
    """
    if len(coefficients) < 2:
        raise ValueError("a batch of one face has no variance: batch_distribution needs batches of two or more")
    mean = coefficients.mean(0)
    variance = (coefficients - mean).square().sum(0) / (len(coefficients) - 1)
    return (mean.square() + (variance - 1.0).square()).mean()
