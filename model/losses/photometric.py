"""Photometric loss: the rendering against the photograph, on skin that both show."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.render.color import linear_to_srgb, luminance, srgb_to_linear

# Residuals beyond this (in sRGB units) are glasses, hair, hands or a wrong mask rather than skin to be explained.
_ROBUST_SCALE = 0.12


def photometric(
    rendered_linear: Float[Tensor, "batch height width 3"],
    photograph_srgb: Float[Tensor, "batch 3 height width"],
    mask: Float[Tensor, "batch height width"],
    color: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Robust L2,1 distance in sRGB over the mask, in luminance where the photograph is grey.

    L2,1 as in Tewari et al. (MoFA, 2017) and Thies et al. (Face2Face, 2016), with Geman-McClure weights, held
    fixed in the gradient, that fade out what the model cannot explain.

    Args:
        rendered_linear: Rendering, linear RGB.
        photograph_srgb: Photograph, sRGB in [0, 1].
        mask: Where to compare, [0, 1].
        color: False for grey photographs.

    Returns:
        A scalar: mean weighted distance per masked pixel.
    """
    distance = residual_srgb(rendered_linear, photograph_srgb, color)
    with torch.no_grad():
        # About the median residual of each face, so that an untrained model is not judged to be all occluders.
        level = torch.nanmedian(distance.masked_fill(mask < 0.5, torch.nan).flatten(1), dim=1).values
        scale = (_ROBUST_SCALE + torch.nan_to_num(level))[:, None, None]
        weight = mask / (1.0 + (distance / scale).square()).square()
    return (weight * distance).sum() / mask.sum().clamp(min=1.0)


def residual_srgb(
    rendered_linear: Float[Tensor, "batch height width 3"],
    photograph_srgb: Float[Tensor, "batch 3 height width"],
    color: Bool[Tensor, " batch"],
) -> Float[Tensor, "batch height width"]:
    """Distance per pixel in sRGB units; for grey photographs that of the two luminances, as sRGB greys.

    A grey photograph's three channels are equal, so both cases count a grey difference alike: sqrt(3) times it.
    """
    target = photograph_srgb.permute(0, 2, 3, 1)
    rendered = linear_to_srgb(rendered_linear)
    grey = linear_to_srgb(luminance(rendered_linear)[..., None]).expand_as(rendered)
    grey_target = linear_to_srgb(luminance(srgb_to_linear(target))[..., None]).expand_as(target)
    is_color = color[:, None, None, None]
    difference = torch.where(is_color, rendered - target, grey - grey_target)
    return (difference.square().sum(-1) + 1e-6).sqrt()
