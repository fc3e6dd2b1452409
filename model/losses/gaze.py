"""Gaze: where the iris stands between the corners of its eye."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.landmarks import landmark_distance

IRISES_478 = (468, 473)
"""Centres of the right and the left iris among MediaPipe's 478 points."""

CORNERS_478 = ((33, 133), (362, 263))
"""Corners of the right and the left eye."""

LIDS_478 = ((159, 145), (386, 374))
"""Middle of the upper and lower lid of each."""

# Opening over width of an eye: below the first the mesh guesses its iris, above the second it sees it.
_SHUT, _OPEN = 0.08, 0.18


def gaze(
    predicted_px: Float[Tensor, "batch 478 2"],
    target_px: Float[Tensor, "batch 478 2"],
    box_px: Float[Tensor, " batch"],
    sample_weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Distance of the iris from the middle of its eye's corners, predicted against labelled, over the face's size.

    Relative to the corners, so that it turns the eyeballs and not the head (iris term of Zielonka et al., "Towards
    Metrical Reconstruction of Human Faces", ECCV 2022, in their tracker). A shut eye has no gaze: it counts by how
    far its label is open.

    Args:
        predicted_px: Projected points.
        target_px: Labels.
        box_px: Size of each face.
        sample_weight: Weight of each photograph, 0 where there is no mesh.

    Returns:
        A scalar, 0 when no photograph has a weight.
    """
    opening = _length(target_px, LIDS_478) / _length(target_px, CORNERS_478).clamp(min=1e-3)
    openness = ((opening - _SHUT) / (_OPEN - _SHUT)).clamp(0.0, 1.0).detach()
    weight = openness * sample_weight[:, None]
    # Each eye is a sample of one point.
    return landmark_distance(
        _iris_offset(predicted_px).flatten(0, 1)[:, None],
        _iris_offset(target_px).flatten(0, 1)[:, None],
        box_px.repeat_interleave(len(IRISES_478)),
        weight.flatten(),
    )


def _iris_offset(points_px: Float[Tensor, "batch 478 2"]) -> Float[Tensor, "batch 2 2"]:
    irises = torch.tensor(IRISES_478, device=points_px.device)
    corners = torch.tensor(CORNERS_478, device=points_px.device)
    return points_px[:, irises] - points_px[:, corners].mean(2)


def _length(points_px: Float[Tensor, "batch 478 2"], pairs: tuple[tuple[int, int], ...]) -> Float[Tensor, "batch 2"]:
    first, second = torch.tensor(pairs, device=points_px.device).unbind(1)
    return (points_px[:, first] - points_px[:, second]).norm(dim=-1)
