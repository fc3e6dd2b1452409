"""Colour: the sRGB transfer function (IEC 61966-2-1) and luminance. Linear inside the model, sRGB at the door."""

import torch
from jaxtyping import Float
from torch import Tensor

REC709_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance (ITU-R BT.709), the primaries of sRGB."""

_LINEAR_KNEE = 0.0031308
_SRGB_KNEE = 0.04045


def srgb_to_linear(srgb: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Undo the sRGB transfer function: encoded values in [0, 1] to linear light. 0.5 becomes 0.2140."""
    # A power of the unused branch would bring NaN into the gradient (0 * inf), so that branch gets a safe argument.
    safe = srgb.clamp(min=_SRGB_KNEE)
    return torch.where(srgb <= _SRGB_KNEE, srgb / 12.92, ((safe + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Apply the sRGB transfer function: linear light to encoded values. 0.2140 becomes 0.5.

    Values are not clamped: negative light goes on along the straight part, and more than 1 stays more than 1.
    """
    safe = linear.clamp(min=_LINEAR_KNEE)
    return torch.where(linear <= _LINEAR_KNEE, linear * 12.92, 1.055 * safe ** (1.0 / 2.4) - 0.055)


def luminance(
    image_linear: Float[Tensor, "*shape 3"],
) -> Float[Tensor, "*shape"]:
    """Rec. 709 luminance of linear RGB, channels last."""
    red, green, blue = image_linear.unbind(-1)
    return REC709_LUMINANCE[0] * red + REC709_LUMINANCE[1] * green + REC709_LUMINANCE[2] * blue
