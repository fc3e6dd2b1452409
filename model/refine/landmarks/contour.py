"""Points that stand for a 2D detector's jaw: under yaw those slide forward on the cheek, along the visible outline."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.face.regions import whole_face
from model.refine.landmarks.points import HeadState, PointHead, project_points

JAW_COUNT = 17
_ABOUT_CHIN = slice(6, 11)
_FAR_MM = 15.0
"""A jaw point that lies this much deeper than its mirror image is on the far side."""

_STEPS = 12
"""Candidates from a jaw point towards the middle of the face."""

_FURTHEST = 0.75
"""How far they go: this part of the way."""


def contour_candidates(model: MorphableModel) -> Int[Tensor, "jaw step"]:
    """For each jaw point vertices of the face from it towards the middle, on the level of the mean head.

    As Zhu et al., "High-Fidelity Pose and Expression Normalization", CVPR 2015, let landmarks march along parallels.

    Raises:
        KeyError: If the head has no landmarks `ibug68`.
    """
    jaw_mm = model.landmarks(model.mean_mm[None])[0, :JAW_COUNT]
    vertex = whole_face(model).nonzero()[:, 0]
    skin_mm = model.mean_mm[vertex]
    share = torch.linspace(0.0, _FURTHEST, _STEPS, device=jaw_mm.device)
    wanted_x = jaw_mm[:, 0, None] * (1.0 - share)
    # Nearest in the frontal view, of the layer in front: inner lips and nostrils lie behind others.
    level = (skin_mm[:, 0] - wanted_x[..., None]).square() + (skin_mm[:, 1] - jaw_mm[:, 1, None, None]).square()
    return vertex[(level - 0.5 * skin_mm[:, 2]).argmin(-1)]


class ContourJaw:
    """Chooses for each jaw point the candidate that lies farthest out in the picture."""

    def __init__(
        self, head: PointHead, intrinsics_px: Float[Tensor, "3 3"], target_px: Float[Tensor, "68 2"], steps: int
    ) -> None:
        """Take the candidates.

        Args:
            head: iBUG's 68 points, then the candidates, jaw point by jaw point.
            intrinsics_px: The camera.
            target_px: The detected points; they say which way is out.
            steps: Candidates of each jaw point.
        """
        self._head, self._intrinsics_px, self._steps = head, intrinsics_px, steps
        middle = target_px[27:].mean(0)
        self._out = torch.nn.functional.normalize(target_px[:JAW_COUNT] - middle, dim=-1)

    def __call__(self, state: HeadState) -> Int[Tensor, "68"]:
        """Rows of the head that stand for the 68 points in a state."""
        projected, _ = project_points(self._head, state, self._intrinsics_px)
        own, candidates = projected[:JAW_COUNT], projected[68:].unflatten(0, (JAW_COUNT, self._steps))
        reach = ((candidates - own[:, None]) * self._out[:, None]).sum(-1)
        towards_mm = self._head.rows(torch.arange(JAW_COUNT)).points_mm(state) @ state.rotation[2]
        moved = (towards_mm < towards_mm.flip(0) - _FAR_MM) & (reach.amax(1) > 0.0)
        # About the chin the outline runs under the jaw: there the points are the same.
        moved[_ABOUT_CHIN] = False
        index = torch.arange(68)
        slid = 68 + torch.arange(JAW_COUNT) * self._steps + reach.argmax(1)
        return torch.cat((torch.where(moved, slid, index[:JAW_COUNT]), index[JAW_COUNT:]))
