"""A linear head at a few points, its projection and the derivatives, in float64 on the CPU.

Unknowns in this order: rotation vector (3, rad, turned in camera space about the head's origin), translation (3),
identity (K), expression (E), logarithm of the focal length (1).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.geometry.camera import project, projection_slope
from model.geometry.rotation import rotation_from_vector

POSE_COUNT = 6
TRANSLATION_UNIT_MM = 10.0
"""The translation's unknowns count in cm, so that all unknowns are of one order of size."""

_NEAREST_MM = 10.0


@dataclass(frozen=True)
class PointHead:
    """The head at P points.

    Attributes:
        mean_mm: Points of the mean head, with the detail that is added there.
        identity_basis: mm per standard deviation.
        expression_basis: mm at weight 1.
    """

    mean_mm: Float[Tensor, "point 3"]
    identity_basis: Float[Tensor, "identity point 3"]
    expression_basis: Float[Tensor, "expression point 3"]

    def rows(self, index: Tensor) -> "PointHead":
        """Some of the points."""
        return PointHead(self.mean_mm[index], self.identity_basis[:, index], self.expression_basis[:, index])

    def points_mm(self, state: "HeadState") -> Float[Tensor, "point 3"]:
        """The points in model space."""
        moved = torch.tensordot(state.identity, self.identity_basis, 1)
        return self.mean_mm + moved + torch.tensordot(state.expression, self.expression_basis, 1)


@dataclass(frozen=True)
class HeadState:
    """A head before a camera.

    Attributes:
        rotation: Model to camera space.
        translation_mm: Model origin in camera space.
        identity: Standard deviations.
        expression: Weights in [0, 1].
        log_focal: Natural logarithm of the focal length over the given one.
    """

    rotation: Float[Tensor, "3 3"]
    translation_mm: Float[Tensor, "3"]
    identity: Float[Tensor, " identity"]
    expression: Float[Tensor, " expression"]
    log_focal: Float[Tensor, ""]

    def moved(self, step: Float[Tensor, " unknown"]) -> "HeadState":
        """The state after a step of the unknowns; expression weights stop at 0 and 1."""
        first = POSE_COUNT + len(self.identity)
        return HeadState(
            rotation=rotation_from_vector(step[:3]) @ self.rotation,
            translation_mm=self.translation_mm + TRANSLATION_UNIT_MM * step[3:POSE_COUNT],
            identity=self.identity + step[POSE_COUNT:first],
            expression=(self.expression + step[first:-1]).clamp(0.0, 1.0),
            log_focal=self.log_focal + step[-1],
        )


def project_points(
    head: PointHead, state: HeadState, intrinsics_px: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "point 2"], Float[Tensor, "point 2 unknown"]]:
    """Where the points lie in the picture, and the derivatives by all unknowns.

    Points behind the camera are projected as if they were 10 mm before it.
    """
    turned = head.points_mm(state) @ state.rotation.T
    camera_mm, camera_px = (turned + state.translation_mm)[None], intrinsics_px[None].clone()
    camera_px[:, (0, 1), (0, 1)] *= state.log_focal.exp()
    projected = project(camera_mm, camera_px, _NEAREST_MM)[0, :, :2]
    by_point = projection_slope(camera_mm, camera_px, _NEAREST_MM)[0]
    a, b, c = turned.unbind(-1)
    zero = torch.zeros_like(a)
    # A turn w moves a point p by w x p.
    by_turn = torch.stack(
        (torch.stack((zero, c, -b), -1), torch.stack((-c, zero, a), -1), torch.stack((b, -a, zero), -1)), dim=1
    )
    identity = (head.identity_basis @ state.rotation.T).permute(1, 2, 0)
    expression = (head.expression_basis @ state.rotation.T).permute(1, 2, 0)
    columns = (
        by_point @ by_turn,
        TRANSLATION_UNIT_MM * by_point,
        by_point @ identity,
        by_point @ expression,
        (projected - intrinsics_px[:2, 2])[..., None],
    )
    return projected, torch.cat(columns, dim=-1)
