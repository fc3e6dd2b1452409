"""A first pose from landmarks alone: weak perspective, robust, turned towards the ray the face is seen on."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.geometry.camera import rotation_towards_ray
from model.refine.landmarks.points import HeadState, PointHead

_ROUNDS = 8
_LEAST_SCALE_PX_PER_MM = 1e-4


def weak_perspective_state(
    head: PointHead,
    target_px: Float[Tensor, "point 2"],
    weight: Float[Tensor, " point"],
    intrinsics_px: Float[Tensor, "3 3"],
) -> HeadState:
    """The mean head, turned and placed as the points say.

    The affine camera of least squares, made a scaled rotation (POS, the first step of DeMenthon and Davis,
    "Model-based object pose in 25 lines of code", IJCV 1995), reweighted so that a few wrong points do not turn it.

    Args:
        head: At the points.
        target_px: Where they were found.
        weight: 0 where a point is unknown; at least four must be known.
        intrinsics_px: The camera.

    Raises:
        ValueError: If the points lie on a line or on one spot.
    """
    points = torch.cat((head.mean_mm, torch.ones_like(head.mean_mm[:, :1])), dim=1)
    flipped = target_px * target_px.new_tensor((1.0, -1.0))
    robust = weight.clone()
    affine = points.new_zeros(4, 2)
    for _ in range(_ROUNDS):
        weighted = points * robust[:, None]
        hessian = weighted.T @ points
        # Nearly flat sets of points hardly tell the third column: it then stays small instead of wild.
        hessian = hessian + 1e-6 * torch.diag(hessian.diagonal().clamp(min=1e-6))
        affine = torch.cholesky_solve(weighted.T @ flipped, torch.linalg.cholesky(hessian))
        distance = (points @ affine - flipped).norm(dim=-1)
        middle = distance[weight > 0.0].median().clamp(min=1e-9)
        robust = weight / (1.0 + (distance / (3.0 * middle)).square()).square()
    left, values, right = torch.linalg.svd(affine[:3].T, full_matrices=False)
    scale = float(values.mean())
    if not scale > _LEAST_SCALE_PX_PER_MM or not float(values[1]) > 1e-3 * float(values[0]):
        raise ValueError("the landmarks lie on one line or spot: no head can be placed by them")
    rows = left @ right
    rotation = torch.cat((rows, torch.linalg.cross(rows[0], rows[1], dim=0)[None]))
    # Of the origin, at the depth at which the head is as large as it looks.
    depth_mm = intrinsics_px[0, 0] / scale
    origin_px = affine[3] * affine.new_tensor((1.0, -1.0))
    translation_mm = torch.stack(
        (
            (origin_px[0] - intrinsics_px[0, 2]) / intrinsics_px[0, 0] * depth_mm,
            (intrinsics_px[1, 2] - origin_px[1]) / intrinsics_px[1, 1] * depth_mm,
            -depth_mm,
        )
    )
    towards = rotation_towards_ray(origin_px[None], intrinsics_px[None])[0]
    return HeadState(
        rotation=towards @ rotation,
        translation_mm=translation_mm,
        identity=affine.new_zeros(len(head.identity_basis)),
        expression=affine.new_zeros(len(head.expression_basis)),
        log_focal=affine.new_zeros(()),
    )
