"""Putting one point set onto another: errors of shape without those of place, turn and scale."""

import torch
from jaxtyping import Float
from torch import Tensor


def align_similarity(
    points: Float[Tensor, "batch point 3"],
    target: Float[Tensor, "batch point 3"],
    weight: Float[Tensor, " point"],
) -> Float[Tensor, "batch point 3"]:
    """Carry points onto a target by the rotation, translation and scale with the least squared error.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991. The
    transformation is found without gradient: what flows back is the gradient of the points carried by it.

    Args:
        points: Points to carry, any unit.
        target: Where to; point i belongs to point i.
        weight: Non-negative weight of each point in the fit; all points are carried.

    Raises:
        ValueError: If fewer than three points have a weight.
    """
    if int((weight > 0).sum()) < 3:
        raise ValueError("a similarity needs three points with a weight at least")
    with torch.no_grad(), torch.autocast(points.device.type, enabled=False):
        share = (weight / weight.sum())[None, :, None].to(points)
        center = (share * points).sum(1, keepdim=True)
        target_center = (share * target).sum(1, keepdim=True)
        moved, wanted = points - center, target - target_center
        left, values, right = torch.linalg.svd((share * wanted).transpose(1, 2) @ moved)
        # A mirror image fits better where points are nearly flat; it is no turn of a head.
        sign = torch.ones_like(values)
        sign[:, 2] = torch.det(left @ right).sign()
        rotation = left @ (sign[..., None] * right)
        scale = (values * sign).sum(-1) / (share * moved.square()).sum((1, 2)).clamp(min=1e-12)
    return scale[:, None, None] * (points - center) @ rotation.transpose(1, 2) + target_center
