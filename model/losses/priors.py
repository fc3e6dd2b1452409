"""Priors: what to answer where the photograph says nothing."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.render.color import luminance


def gaussian_prior(coefficients: Float[Tensor, "batch component"]) -> Float[Tensor, ""]:
    """Mean squared coefficient: the negative log-likelihood of standard deviations, up to constants."""
    return coefficients.square().mean()


def sparse_prior(weights: Float[Tensor, "batch component"]) -> Float[Tensor, ""]:
    """Mean of weights and squared weights in [0, 1]: prefers few blendshapes over many half-open ones."""
    return (weights.abs() + weights.square()).mean()


def white_light(lighting: Float[Tensor, "batch 9 3"]) -> Float[Tensor, ""]:
    """Deviation of the light from grey, over its level: else the light explains the colour of the skin."""
    grey = lighting.mean(-1, keepdim=True)
    level = grey[:, :1].detach().abs().clamp(min=0.1)
    return ((lighting - grey) / level).square().mean()


def exposure_prior(lighting: Float[Tensor, "batch 9 3"]) -> Float[Tensor, ""]:
    """Squared log of the mean light level, around 1.

    Skin and light are known only as a product. The level of the light is therefore kept near a
    correctly exposed photograph's, and the tone of the skin is left to the albedo.
    """
    level = luminance(lighting[:, 0]).clamp(min=0.05)
    return level.log().square().mean()


def negative_light(shading: Float[Tensor, "batch vertex 3"]) -> Float[Tensor, ""]:
    """Mean squared negative shading: harmonics can promise less than no light, which no lamp gives."""
    return torch.relu(-shading).square().mean()


def albedo_range(albedo_linear: Float[Tensor, "batch vertex 3"]) -> Float[Tensor, ""]:
    """Mean squared excess of the albedo over [0.005, 1]."""
    return (torch.relu(0.005 - albedo_linear) + torch.relu(albedo_linear - 1.0)).square().mean()
