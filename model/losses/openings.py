"""Openings of eyes and lips: how far the upper edge lies from the lower one."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.landmarks import landmark_distance


def relative_distance(
    predicted_px: Float[Tensor, "batch point 2"],
    target_px: Float[Tensor, "batch point 2"],
    pairs: tuple[tuple[int, int], ...],
    box_px: Float[Tensor, " batch"],
    sample_weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """How far upper and lower lid, or lips, lie apart: the relative term of DECA (Feng et al. 2021, equation 6).

    The absolute position of a lid is dominated by pose; whether the eye is shut is only in the difference.

    Args:
        predicted_px: Projected points.
        target_px: Labels.
        pairs: Indices of upper and lower points.
        box_px: Size of each face.
        sample_weight: Weight of each photograph.
    """
    upper, lower = torch.tensor(pairs, device=predicted_px.device).unbind(1)
    predicted = predicted_px[:, upper] - predicted_px[:, lower]
    target = target_px[:, upper] - target_px[:, lower]
    return landmark_distance(predicted, target, box_px, sample_weight)
