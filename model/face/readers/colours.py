"""Albedo of published models, which is mostly in the coded colours of photographs, as linear RGB."""

import numpy as np
from jaxtyping import Float


def linear_of(srgb: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Linear values of sRGB in [0, 1]."""
    srgb = np.clip(srgb, 0.0, 1.0)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def linear_components(
    mean_srgb: Float[np.ndarray, "vertex 3"], basis_srgb: Float[np.ndarray, "component vertex 3"]
) -> tuple[Float[np.ndarray, "vertex 3"], Float[np.ndarray, "component vertex 3"]]:
    """Mean and components of a colour model that is linear in coded colours, in linear RGB.

    The coding is a curve, so a sum in one is none in the other: the components are those of the tangent at the mean.
    At one standard deviation of a skin's tone that errs by some hundredths.
    """
    clipped = np.clip(mean_srgb, 0.0, 1.0)
    slope = np.where(clipped <= 0.04045, 1.0 / 12.92, 2.4 / 1.055 * ((clipped + 0.055) / 1.055) ** 1.4)
    return linear_of(clipped), basis_srgb * slope
