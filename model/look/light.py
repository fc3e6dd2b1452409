"""The light of a photograph on what faces its camera: between a colour in the photograph and the colour itself."""

import numpy as np
import torch
from jaxtyping import Float

from model.look.face_result import FaceResult
from model.render.color import linear_to_srgb, srgb_to_linear
from model.render.lighting import shade

_TOWARDS = ((0.0, 0.0, 1.0), (0.5, 0.1, 0.86), (-0.5, 0.1, 0.86), (0.0, 0.5, 0.86))
"""Camera space: what is seen in eyes and mouth faces the camera, more or less."""
_LEAST_LIGHT, _WHITEST = 0.08, 0.85


def light_towards_camera(result: FaceResult) -> Float[np.ndarray, "3"]:
    """Linear RGB factor from albedo to what the photograph shows."""
    directions = torch.tensor(_TOWARDS)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    arriving = shade(directions[None], torch.from_numpy(result.lighting)[None])[0].mean(0)
    return arriving.clamp(min=_LEAST_LIGHT).numpy()


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
