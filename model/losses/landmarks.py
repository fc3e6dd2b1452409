"""Landmark losses: the distance of projected model points from labelled ones, over the size of the face."""

from jaxtyping import Float
from torch import Tensor

# Distances below this part of the face's size are no longer worth a full unit of gradient: label noise.
_SOFT_OVER_BOX = 0.01


def landmark_distance(
    predicted_px: Float[Tensor, "batch point dimension"],
    target_px: Float[Tensor, "batch point dimension"],
    box_px: Float[Tensor, " batch"],
    sample_weight: Float[Tensor, " batch"],
    point_weight: Float[Tensor, " point"] | Float[Tensor, "batch point"] | None = None,
) -> Float[Tensor, ""]:
    """Mean softened distance over the face's size.

    This is the benchmark's own measure, NME, with its corner at zero rounded off: a square would spend the capacity
    on the few grossly wrong labels (Feng et al., "Wing Loss", CVPR 2018, section 4).

    Args:
        predicted_px: Projected points.
        target_px: Labels.
        box_px: Size of each face.
        sample_weight: Weight of each photograph; 0 leaves it out.
        point_weight: Weight of each point, 1 by default; only the ratios within a face matter.

    Returns:
        A scalar, 0 when no photograph has a weight.
    """
    squared = (predicted_px - target_px).square().sum(-1) / box_px[:, None].square()
    distance = (squared + _SOFT_OVER_BOX**2).sqrt() - _SOFT_OVER_BOX
    if point_weight is not None:
        distance = distance * (point_weight / point_weight.mean(-1, keepdim=True).clamp(min=1e-6))
    return (distance.mean(1) * sample_weight).sum() / sample_weight.sum().clamp(min=1e-6)


def landmark_depth(
    predicted_image: Float[Tensor, "batch point 3"],
    target_px: Float[Tensor, "batch point 3"],
    focal_px: Float[Tensor, " batch"],
    box_px: Float[Tensor, " batch"],
    sample_weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The same for relative depth: labels give z in px towards the viewer, with zero mean.

    Args:
        predicted_image: Projected points as (x_px, y_px, depth_mm).
        target_px: Labels as (x, y, z) px.
        focal_px: Focal length of each crop.
        box_px: Size of each face.
        sample_weight: Weight of each photograph.
    """
    depth_mm = predicted_image[..., 2]
    mean_mm = depth_mm.mean(1, keepdim=True)
    towards_viewer_px = (mean_mm - depth_mm) * focal_px[:, None] / mean_mm.clamp(min=1.0)
    target = target_px[..., 2:] - target_px[..., 2:].mean(1, keepdim=True)
    return landmark_distance(towards_viewer_px[..., None], target, box_px, sample_weight)
