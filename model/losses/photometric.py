"""Photometric loss: the rendering against the photograph, on skin that both show."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.losses.occlusion import unoccluded
from model.render.color import linear_to_srgb, luminance, srgb_to_linear

_LEAST_PIXELS = 8.0
"""A level of the pyramid on which a face has fewer pixels than this says nothing of it."""


def photometric(
    rendered_linear: Float[Tensor, "batch height width 3"],
    photograph_srgb: Float[Tensor, "batch 3 height width"],
    mask: Float[Tensor, "batch height width"],
    color: Bool[Tensor, " batch"],
    levels: int = 1,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Robust L2,1 distance in sRGB over the mask, in luminance where the photograph is grey.

    L2,1 as in Tewari et al. (MoFA, 2017) and Thies et al. (Face2Face, 2016, with its image pyramid), with
    Geman-McClure weights, held fixed in the gradient, that fade out what the model cannot explain
    (`model.losses.occlusion`). Coarse levels see beyond the width of an edge and so pull over a longer way.

    Args:
        rendered_linear: Rendering, linear RGB.
        photograph_srgb: Photograph, sRGB in [0, 1].
        mask: Where to compare, [0, 1].
        color: False for grey photographs.
        levels: Sizes to compare at, each half the one before; their mean is taken.
        smoothing: Reach of the occlusion estimate, over the side of the picture.

    Returns:
        A scalar: mean weighted distance per masked pixel, mean over the photographs that have any; 0 without any.

    Raises:
        ValueError: If the picture cannot be halved so often.
    """
    if min(mask.shape[1:]) >> (levels - 1) < 4:
        raise ValueError(f"{levels} pyramid levels of a picture of {tuple(mask.shape[1:])} px: the last has no 4 px")
    photograph = srgb_to_linear(photograph_srgb.permute(0, 2, 3, 1))
    means = []
    for level in range(levels):
        if level > 0:
            rendered_linear, photograph, mask = halve(rendered_linear, photograph, mask)
        distance = _distance(rendered_linear, photograph, color)
        weight = mask * unoccluded(distance, mask, smoothing)
        area = mask.sum((1, 2))
        # A face shows the same at every size: a fixed number of pixels is asked only of the first.
        counts = (area * 4.0**level >= _LEAST_PIXELS).to(area.dtype)
        mean = (weight * distance).sum((1, 2)) / area.clamp(min=1e-6)
        means.append((mean * counts).sum() / counts.sum().clamp(min=1.0))
    return torch.stack(means).mean()


def halve(
    rendered: Float[Tensor, "batch height width 3"],
    photograph: Float[Tensor, "batch height width 3"],
    mask: Float[Tensor, "batch height width"],
) -> tuple[
    Float[Tensor, "batch half_height half_width 3"],
    Float[Tensor, "batch half_height half_width 3"],
    Float[Tensor, "batch half_height half_width"],
]:
    """Both pictures at half the size: means of 2 x 2 pixels, weighted by the mask, so that nothing outside leaks in.

    An odd last row or column is left out.

    Returns:
        The pictures, 0 where there is no mask, and the mean of the mask.
    """
    layers = torch.cat((rendered * mask[..., None], photograph * mask[..., None], mask[..., None]), dim=-1)
    layers = torch.nn.functional.avg_pool2d(layers.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    half = layers[..., 6]
    pictures = layers[..., :6] / half.clamp(min=1e-6)[..., None]
    return pictures[..., :3], pictures[..., 3:], half


def residual_srgb(
    rendered_linear: Float[Tensor, "batch height width 3"],
    photograph_srgb: Float[Tensor, "batch 3 height width"],
    color: Bool[Tensor, " batch"],
) -> Float[Tensor, "batch height width"]:
    """Distance per pixel in sRGB units; for grey photographs that of the two luminances, as sRGB greys.

    A grey photograph's three channels are equal, so both cases count a grey difference alike: sqrt(3) times it.
    """
    return _distance(rendered_linear, srgb_to_linear(photograph_srgb.permute(0, 2, 3, 1)), color)


def _distance(
    rendered_linear: Float[Tensor, "batch height width 3"],
    photograph_linear: Float[Tensor, "batch height width 3"],
    color: Bool[Tensor, " batch"],
) -> Float[Tensor, "batch height width"]:
    is_color = color[:, None, None, None]
    grey = luminance(rendered_linear)[..., None].expand_as(rendered_linear)
    grey_target = luminance(photograph_linear)[..., None].expand_as(photograph_linear)
    rendered = linear_to_srgb(torch.where(is_color, rendered_linear, grey))
    target = linear_to_srgb(torch.where(is_color, photograph_linear, grey_target))
    return ((rendered - target).square().sum(-1) + 1e-6).sqrt()
