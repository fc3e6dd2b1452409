"""Principal components of data with weights and gaps, by expectation maximisation.

The model is probabilistic PCA (Tipping and Bishop, 1999) with a weight for every entry (0 where unseen):
`data[n, d] = mean[d] + sum_k c[n, k] basis[k, d] + noise`, c ~ N(0, I). The E-step's coefficients may come from
elsewhere (`tools.statistics.light` finds them together with the light); `coefficients` here is the plain one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LinearModel:
    """Mean and components, one standard deviation each, over D entries of C channels.

    Attributes:
        mean: The mean.
        basis: Components, ordered by variance once `canonical`.
    """

    mean: Float[Tensor, "entry channel"]
    basis: Float[Tensor, "component entry channel"]

    def predict(self, coefficients: Float[Tensor, "sample component"]) -> Float[Tensor, "sample entry channel"]:
        """The data the coefficients stand for."""
        return self.mean + (coefficients @ self.basis.flatten(1)).unflatten(1, self.mean.shape)


def coefficients(
    model: LinearModel,
    data: Float[Tensor, "sample entry channel"],
    weight: Float[Tensor, "sample entry"],
    noise: float,
) -> tuple[Float[Tensor, "sample component"], Float[Tensor, "sample component component"]]:
    """E-step: posterior mean and covariance of every sample's coefficients.

    Args:
        model: The model.
        data: Entries; anything where the weight is 0.
        weight: Trust in each entry; 1 stands for the noise given.
        noise: Standard deviation of an entry of weight 1.

    Returns:
        Means and covariances.
    """
    flat = model.basis.flatten(1)
    spread = weight[..., None].expand_as(data).flatten(1) / noise**2
    products = (flat[:, None] * flat[None]).flatten(0, 1)
    size = len(flat)
    precision = (spread @ products.T).unflatten(1, (size, size)) + torch.eye(size)
    gradient = (spread * (data - model.mean).flatten(1)) @ flat.T
    covariance = torch.linalg.inv(precision)
    return (covariance @ gradient[..., None])[..., 0], covariance


def fit_components(
    data_sum: Float[Tensor, "component_and_one entry channel"],
    gram: Float[Tensor, "entry component_and_one component_and_one"],
    prior: LinearModel,
    strength: float,
) -> LinearModel:
    """M-step: mean and basis by ridge regression at every entry towards a prior model.

    Args:
        data_sum: Sum over samples of weight * coefficient * data; the mean's constant coefficient 1 comes first.
        gram: Sum over samples of weight * E[coefficient coefficient^T], in the same order.
        prior: What entries that were hardly seen fall back to.
        strength: Weight of the prior, in samples.

    Returns:
        The new model, not canonical.
    """
    start = torch.cat([prior.mean[None], prior.basis])
    ridge = strength * torch.eye(len(start))
    solution = torch.linalg.solve(gram + ridge, data_sum.transpose(0, 1) + strength * start.transpose(0, 1))
    solution = solution.transpose(0, 1)
    return LinearModel(solution[0], solution[1:])


def sufficient_statistics(
    means: Float[Tensor, "sample component"],
    covariances: Float[Tensor, "sample component component"],
    data: Float[Tensor, "sample entry channel"],
    weight: Float[Tensor, "sample entry"],
) -> tuple[
    Float[Tensor, "component_and_one entry channel"], Float[Tensor, "entry component_and_one component_and_one"]
]:
    """What `fit_components` needs of some samples; sums over batches of samples add up."""
    extended = torch.cat([torch.ones(len(means), 1), means], dim=1)
    second = extended[:, :, None] * extended[:, None]
    second[:, 1:, 1:] += covariances
    size = extended.shape[1]
    gram = (weight.T @ second.flatten(1)).unflatten(1, (size, size))
    weighted = (weight[..., None] * data).flatten(1)
    return (extended.T @ weighted).unflatten(1, data.shape[1:]), gram


def canonical(
    model: LinearModel,
    means: Float[Tensor, "sample component"],
    covariances: Float[Tensor, "sample component component"],
    sample_weight: Float[Tensor, " sample"],
) -> tuple[LinearModel, Float[Tensor, "component component"]]:
    """Same span, coefficients of zero mean and unit variance, components orthogonal and ordered by variance.

    Returns:
        The model, and the matrix M such that new coefficients are `(means - weighted mean) @ M`.
    """
    share = sample_weight / sample_weight.sum()
    center = share @ means
    offset = means - center
    second = torch.einsum("n,nij->ij", share, offset[:, :, None] * offset[:, None] + covariances)
    root = torch.linalg.cholesky(second + 1e-6 * torch.eye(len(second)))
    whitened = root.T @ model.basis.flatten(1)
    _, vectors = torch.linalg.eigh(whitened @ whitened.T)
    turn = vectors.flip(1)
    # The sign is free: more of a component is brighter.
    basis = turn.T @ whitened
    sign = torch.where(basis.sum(1) < 0, -1.0, 1.0)
    mean = model.mean + (center @ model.basis.flatten(1)).unflatten(0, model.mean.shape)
    transform = torch.linalg.inv(root).T @ (turn * sign)
    return LinearModel(mean, (sign[:, None] * basis).unflatten(1, model.mean.shape)), transform


def grow(model: LinearModel, residual: Float[Tensor, "sample entry channel"], size: int, seed: int = 0) -> LinearModel:
    """Append the leading directions of weighted residuals, by a randomised range finder (Halko et al., 2011)."""
    extra = size - len(model.basis)
    if extra <= 0:
        return model
    flat = residual.flatten(1)
    probe = torch.randn(extra + 8, len(flat), generator=torch.Generator().manual_seed(seed))
    for _ in range(3):
        directions = torch.linalg.qr((probe @ flat).T).Q
        probe = torch.linalg.qr(flat @ directions).Q.T
    small = probe @ flat
    _, values, right = torch.linalg.svd(small, full_matrices=False)
    scale = values[:extra, None] / len(flat) ** 0.5
    added = (right[:extra] * scale).unflatten(1, model.mean.shape)
    return LinearModel(model.mean, torch.cat([model.basis, added]))
