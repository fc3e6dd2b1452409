"""Losses of the points that the encoder sees, whose labels are those of the head's landmarks."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder.point_update import MESH_POINTS
from model.losses.inputs import LossInputs
from model.losses.landmarks import landmark_distance


def seen_points(given: LossInputs) -> Float[Tensor, ""]:
    """Distance of the seen points from their labels, over the size of the face."""
    points_px = given.seen.points * given.observation.image_srgb.shape[-1]
    total = points_px.new_zeros(())
    for chosen, labels_px, point_weight, weight in _labelled(given):
        total = total + landmark_distance(points_px[:, chosen], labels_px, given.box_px, weight, point_weight)
    return total


def point_distance(given: LossInputs) -> Float[Tensor, ""]:
    """Negative log likelihood of the distances under those that were expected, without gradient to the points.

    The density is a cone of exponential sides, whose mean distance is what is answered: its tails bear wrong labels.
    """
    size = given.observation.image_srgb.shape[-1]
    total = given.seen.points.new_zeros(())
    for chosen, labels_px, point_weight, weight in _labelled(given):
        off = (given.seen.points[:, chosen].detach() - labels_px / size).norm(dim=-1)
        log_expected = given.seen.log_distance[:, chosen]
        each = (off / log_expected.exp() + log_expected) * point_weight
        total = total + (each.mean(1) * weight).sum() / weight.sum().clamp(min=1e-6)
    return total


def _labelled(given: LossInputs) -> list[tuple[slice, Tensor, Tensor, Tensor]]:
    """For each landmark set: which of the seen points are its, their labels, weights of points and of photographs."""
    observation = given.observation
    both = [(slice(0, 68), observation.landmarks68_px[..., :2], given.point_weight68, observation.landmarks68_weight)]
    if given.seen.points.shape[1] > 68:
        chosen = torch.tensor(MESH_POINTS, device=given.seen.points.device)
        labels_px, weight = observation.landmarks478_px[:, chosen], observation.landmarks478_weight
        both.append((slice(68, None), labels_px, torch.ones_like(labels_px[..., 0]), weight))
    return both
