"""From what the network says of each frame to how one person moves: who it is fixed, pose and expression smoothed.

The network answers each frame by itself, so a nose grows and shrinks a little while a head turns. Over a clip identity,
albedo and bones are one person's: the mean of the surest careful looks, weighted by their confidence. Pose and
expression of each frame are solved for anew with that person's points, so that these stay where the network saw them
(regularised least squares, a few Gauss-Newton steps). Then both are smoothed, see `inference.one_euro`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inference.one_euro import OneEuroConfig, smoothed
from model.encoder.parameter_head import to_unit_interval
from model.encoder.point_update import point_sets
from model.face.morphable_model import MorphableModel
from model.geometry.quaternion import quaternions_from_rotations, rotations_from_quaternions
from model.geometry.rotation import rotation_from_vector
from model.parameters import FaceParameters

_SURE_SHARE = 0.5
"""Of the careful looks: the surest say who it is."""
_STEPS, _AT_ONCE = 3, 256
_POINT_MM = 2.0
"""How far the network's points are trusted to lie where they are seen."""
_EXPRESSION, _TURN, _SHIFT = 0.08, 0.2, 0.1
"""How far weights, turns in radians and places over the distance may move from the network's."""
_LONGEST_GAP_S = 0.5
"""What was not seen for longer is another stretch of the track, which is smoothed by itself."""


@dataclass(frozen=True)
class SmoothingConfig:
    """How much is smoothed.

    Attributes:
        expression: Of weights, in [0, 1].
        rotation: Of quaternions: half an angle in radians.
        place: Of the direction towards the head, as tangents, and of the logarithm of its distance.
    """

    expression: OneEuroConfig = OneEuroConfig(1.5, 6.0)
    rotation: OneEuroConfig = OneEuroConfig(1.0, 8.0)
    place: OneEuroConfig = OneEuroConfig(1.0, 20.0)

    @property
    def lag_s(self) -> float:
        """What the slowest of the filters would lag by if it ran forwards only."""
        return max(self.expression.lag_s, self.rotation.lag_s, self.place.lag_s)


def clip_identity(
    looks: Sequence[FaceParameters], confidences: Sequence[float]
) -> tuple[Float[Tensor, "1 identity"], Float[Tensor, "1 albedo"]]:
    """Identity and albedo of a person, from careful looks.

    Args:
        looks: Batch axis 1.
        confidences: Of the looks.

    Raises:
        ValueError: If there is no look.
    """
    if not looks:
        raise ValueError("no careful look to say who it is")
    order = np.argsort(-np.asarray(confidences), kind="stable")[: max(1, round(_SURE_SHARE * len(looks)))]
    weight = torch.tensor([max(float(confidences[i]), 1e-3) for i in order])
    weight = weight / weight.sum()

    def mean(name: str) -> Float[Tensor, "1 coefficient"]:
        return (torch.cat([getattr(looks[i], name) for i in order]) * weight[:, None]).sum(0, keepdim=True)

    return mean("identity"), mean("albedo")


@torch.inference_mode()
def of_one_person(
    answers: FaceParameters,
    identity: Float[Tensor, "1 identity"],
    albedo: Float[Tensor, "1 albedo"],
    model: MorphableModel,
) -> FaceParameters:
    """The answers told of one person: the points of each head stay where they are seen, as well as may be.

    Args:
        answers: Of the frames, as one batch, on the CPU.
        identity: Of the person.
        albedo: Of the person.
        model: The head model, on any device.
    """
    fit = _PointFit(model)
    parts = []
    for start in range(0, len(answers.identity), _AT_ONCE):
        chosen = slice(start, start + _AT_ONCE)
        part = FaceParameters(*(getattr(answers, name)[chosen] for name in FaceParameters.__dataclass_fields__))
        parts.append(fit.told_of(part, identity, albedo))
    return FaceParameters(
        *(torch.cat([getattr(part, name) for part in parts]) for name in FaceParameters.__dataclass_fields__)
    )


class _PointFit:
    """Solves for pose and expression of heads whose identity is known."""

    def __init__(self, model: MorphableModel) -> None:
        means, bases, identities = [], [], []
        for name, chosen in point_sets(model):
            points = list(chosen)
            means.append(model.landmarks(model.mean_mm[None], name)[0, points].cpu())
            bases.append(model.get_buffer(f"{name}_expression").unflatten(-1, (-1, 3))[:, points].cpu())
            identities.append(model.get_buffer(f"{name}_identity").unflatten(-1, (-1, 3))[:, points].cpu())
        self._mean_mm, self._expression, self._identity = (
            torch.cat(means),
            torch.cat(bases, 1),
            torch.cat(identities, 1),
        )
        # About the points' middle a turn moves them least.
        self._middle_mm = self._mean_mm.mean(0)
        count = len(self._expression)
        self._deviation = torch.tensor([_EXPRESSION] * count + [_TURN] * 3 + [_SHIFT] * 3)

    def told_of(
        self, answers: FaceParameters, identity: Float[Tensor, "1 identity"], albedo: Float[Tensor, "1 albedo"]
    ) -> FaceParameters:
        count = len(answers.identity)
        seen = self._seen_mm(answers)
        seen = seen[..., :2] / seen[..., 2:]
        now = replace(answers, identity=identity.repeat(count, 1), albedo=albedo.repeat(count, 1))
        so_far = torch.zeros(count, len(self._deviation))
        for _ in range(_STEPS):
            difference, slope = self._look(now, seen)
            slope = slope * (self._deviation / _POINT_MM)
            right = (slope.mT @ (difference / _POINT_MM)[..., None])[..., 0] - so_far
            matrix = slope.mT @ slope + torch.eye(slope.shape[-1])
            step = torch.linalg.solve(matrix, right)
            now, so_far = self._moved(now, step * self._deviation), so_far + step
        return now

    def _model_mm(self, parameters: FaceParameters) -> Float[Tensor, "frame point 3"]:
        offsets = torch.einsum("fk,kpx->fpx", parameters.identity, self._identity)
        return self._mean_mm + offsets + torch.einsum("fe,epx->fpx", parameters.expression, self._expression)

    def _seen_mm(self, parameters: FaceParameters) -> Float[Tensor, "frame point 3"]:
        return parameters.to_camera(self._model_mm(parameters))

    def _look(
        self, now: FaceParameters, seen: Float[Tensor, "frame point 2"]
    ) -> tuple[Float[Tensor, "frame coordinate"], Float[Tensor, "frame coordinate unknown"]]:
        """How far the points are off, in mm at the head's distance, and how that changes with the unknowns."""
        turned_mm = (self._model_mm(now) - self._middle_mm) @ now.rotation.mT
        middle_mm = (now.rotation @ self._middle_mm + now.translation_mm)[:, None]
        here_mm = turned_mm + middle_mm
        distance_mm = -middle_mm[..., 2:]
        depth = here_mm[..., 2:]
        difference = (here_mm[..., :2] / depth - seen) * distance_mm
        # The tangents X / Z and Y / Z, with Z negative: by X 1 / Z, by Z -X / Z^2.
        scale, zero = distance_mm / depth, torch.zeros_like(depth)
        by_x = torch.cat((scale, zero, -scale * here_mm[..., :1] / depth), dim=-1)
        by_y = torch.cat((zero, scale, -scale * here_mm[..., 1:2] / depth), dim=-1)
        by_place = torch.stack((by_x, by_y), dim=-2)
        by_weight = torch.einsum("fpux,epx->fpue", by_place @ now.rotation[:, None], self._expression)
        # A turn w moves a point q by w x q.
        by_turn = torch.linalg.cross(turned_mm[:, :, None], by_place, dim=-1)
        slope = torch.cat((by_weight, by_turn, by_place * distance_mm[..., None]), dim=-1)
        return -difference.flatten(1), slope.flatten(1, 2)

    def _moved(self, old: FaceParameters, step: Float[Tensor, "frame unknown"]) -> FaceParameters:
        weights, turn, shift = step.split((len(self._expression), 3, 3), dim=1)
        middle_mm = (old.rotation @ self._middle_mm)[..., :] + old.translation_mm
        middle_mm = middle_mm - middle_mm[:, 2:] * shift
        rotation = rotation_from_vector(turn) @ old.rotation
        return replace(
            old,
            expression=to_unit_interval(old.expression + weights),
            rotation=rotation,
            translation_mm=middle_mm - rotation @ self._middle_mm,
        )


def smooth_motion(
    answers: FaceParameters, times_s: Float[np.ndarray, " frame"], config: SmoothingConfig | None = None
) -> FaceParameters:
    """Smooth pose and expression of one person's frames.

    Args:
        answers: Of the frames, as one batch, on the CPU.
        times_s: Of the frames, strictly growing. What was not seen for half a second is not smoothed over.
        config: How much.
    """
    config = config or SmoothingConfig()
    ends = [0, *(np.flatnonzero(np.diff(times_s) > _LONGEST_GAP_S) + 1), len(times_s)]
    expression = answers.expression.double().numpy().copy()
    rotation = quaternions_from_rotations(answers.rotation.double().numpy())
    middle = answers.translation_mm.double().numpy()
    place = np.concatenate((middle[:, :2] / middle[:, 2:], np.log(np.maximum(-middle[:, 2:], 1.0))), axis=1)
    for start, end in zip(ends[:-1], ends[1:], strict=True):
        when, part = times_s[start:end], slice(start, end)
        expression[part] = smoothed(expression[part], when, config.expression)
        rotation[part] = smoothed(rotation[part], when, config.rotation, together=True)
        place[part] = smoothed(place[part], when, config.place)
    depth_mm = -np.exp(place[:, 2:])
    translation_mm = np.concatenate((place[:, :2] * depth_mm, depth_mm), axis=1)
    return replace(
        answers,
        expression=torch.from_numpy(expression).float().clamp(0.0, 1.0),
        rotation=torch.from_numpy(rotations_from_quaternions(rotation)).float(),
        translation_mm=torch.from_numpy(translation_mm).float(),
    )
