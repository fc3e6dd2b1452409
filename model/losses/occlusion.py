"""Which pixels a face model should explain, told from how badly it does: glasses, hair and hands stay unexplained."""

import torch
from jaxtyping import Float
from torch import Tensor

# Residuals beyond this (in sRGB units) are glasses, hair, hands or a wrong mask rather than skin to be explained.
_ROBUST_SCALE = 0.12


@torch.no_grad()
def unoccluded(
    distance: Float[Tensor, "batch height width"], mask: Float[Tensor, "batch height width"], smoothing: float = 0.0
) -> Float[Tensor, "batch height width"]:
    """Soft mask in [0, 1] of what is no occluder: Geman-McClure weights of the residual; no gradient.

    A pixel is judged by its residual against the picture's own median, as Li et al. ("Robust Model-based Face
    Reconstruction through Weakly-Supervised Outlier Segmentation", CVPR 2023, FOCUS) segment outliers by what stays
    unexplained; where they train a network to make the mask coherent, here the residual is averaged over the
    neighbourhood first: an occluder is a region, a mole or an edge that is one pixel off is not.

    Args:
        distance: Residual per pixel in sRGB units.
        mask: Where to compare, [0, 1].
        smoothing: Reach of the neighbourhood to each side, over the side of the picture; 0 judges each pixel alone.

    Returns:
        The soft mask; it does not contain `mask`.
    """
    # About the median residual of each face, so that an untrained model is not judged to be all occluders.
    level = torch.nanmedian(distance.masked_fill(mask < 0.5, torch.nan).flatten(1), dim=1).values
    scale = (_ROBUST_SCALE + torch.nan_to_num(level))[:, None, None]
    reach = round(smoothing * max(distance.shape[1:]))
    if reach > 0:
        distance = _masked_mean(distance, mask, reach)
    return (1.0 + (distance / scale).square()).square().reciprocal()


def _masked_mean(
    values: Float[Tensor, "batch height width"], mask: Float[Tensor, "batch height width"], reach: int
) -> Float[Tensor, "batch height width"]:
    """Mean over the masked pixels of a square neighbourhood; the value itself where there are none."""
    pooled = torch.nn.functional.avg_pool2d(
        torch.stack((values * mask, mask), dim=1), 2 * reach + 1, stride=1, padding=reach
    )
    total, weight = pooled.unbind(1)
    return torch.where(weight > 1e-6, total / weight.clamp(min=1e-6), values)
