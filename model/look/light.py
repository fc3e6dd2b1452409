"""The light of a photograph on eyes and mouth: between a colour in the photograph and the colour itself."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from model.render.color import linear_to_srgb, srgb_to_linear

_LEAST_LIGHT, _WHITEST = 0.08, 0.85


def light_inside(
    shading_linear: Float[np.ndarray, "vertex 3"], inside: Bool[np.ndarray, " vertex"]
) -> Float[np.ndarray, "3"]:
    """Linear RGB factor from albedo to what the photograph shows, one for eyes and mouth.

    Args:
        shading_linear: That factor at the vertices of the head; `photograph_light` gives eyes and mouth that of the
            skin around them.
        inside: The vertices of eyes and mouth; a head without any takes all.
    """
    some = shading_linear[inside] if inside.any() else shading_linear
    return np.maximum(np.exp(np.log(np.maximum(some, 1e-4)).mean(0)), _LEAST_LIGHT).astype(np.float32)


def without_light(
    photograph_srgb: Float[np.ndarray, "*place 3"], light: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "*place 3"]:
    """Albedo, sRGB in [0, 1], of what the photograph shows in a light."""
    linear = srgb_to_linear(torch.from_numpy(np.ascontiguousarray(photograph_srgb)).float()).numpy() / light
    return linear_to_srgb(torch.from_numpy(np.clip(linear, 0.0, _WHITEST)).float()).numpy()


def in_light(
    albedo_srgb: Float[np.ndarray, "*place 3"], light: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "*place 3"]:
    """What the photograph would show of an albedo, both sRGB in [0, 1]."""
    linear = srgb_to_linear(torch.from_numpy(np.ascontiguousarray(albedo_srgb)).float()).numpy() * light
    return linear_to_srgb(torch.from_numpy(np.clip(linear, 0.0, 1.0)).float()).numpy()
