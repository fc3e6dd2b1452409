"""Stage 0: pose, expression and identity from 2D landmarks, from an earlier answer or from the mean head."""

import math
import time
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals
from model.losses.landmark_weights import landmark_visibility
from model.parameters import FaceParameters
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.landmarks.contour import ContourJaw, contour_candidates
from model.refine.landmarks.points import POSE_COUNT, HeadState, PointHead, project_points
from model.refine.landmarks.pose import weak_perspective_state
from model.refine.landmarks.solver import ROBUST_LIMIT, PointProblem, Robust, solve

_NAME = "landmarks"
_LEAST_POINTS = 8
_NO_FACE = 0.15
"""Mean residual over the size of the face from which on the points are no face's."""

_LARGEST_COEFFICIENT_SD = 6.0
_HIDDEN_WEIGHT = 0.3
"""Weight of points on the far side of the head, over that of the others."""
_FOCAL_LOG_SD = 0.2
"""Standard deviation of the logarithm of an estimated focal length, about the crop's."""
_MOST_STEPS = 40
_EXPRESSION_SD_ALONE = 0.25
"""Standard deviation of an expression weight about 0, where there is no start that tells one."""


@torch.no_grad()
def fit_landmarks(
    morphable_model: MorphableModel, crop: FaceCrop, start: FittedFace | None, config: LandmarkFitConfig
) -> tuple[FittedFace, StageRecord]:
    """Turn, place and shape the head so that its landmarks meet those found in the photograph.

    Args:
        morphable_model: The head, with landmarks `ibug68`.
        crop: The photograph's window with its 68 points.
        start: An earlier answer, whose offsets, albedo and light are kept; None for the mean head.
        config: Trust in landmarks and priors.

    Returns:
        The fit and what became of it; the start itself where the fit is no better.

    Raises:
        ValueError: Without a start, if the landmarks are too few, on one line, or no face's.
    """
    began = time.perf_counter()
    known = int((crop.landmarks68_weight > 0.0).sum())
    if known < _LEAST_POINTS or not bool(torch.isfinite(crop.landmarks68_px).all()):
        reason = f"{known} of 68 landmarks are known, {_LEAST_POINTS} finite ones are needed"
        if start is None:
            raise ValueError(f"{reason}: give other landmarks, or start from the network")
        return start, StageRecord(_NAME, False, reason, time.perf_counter() - began)
    fit = _Fit(morphable_model, crop, start, config)
    first = fit.first_state()
    state, history = fit.run(first)
    figures = {
        "residual_before_percent": 100.0 * fit.residual(first),
        "residual_after_percent": 100.0 * fit.residual(state),
        "steps": float(len(history) - 1),
        "identity_rms_sd": float(state.identity.square().mean().sqrt()) if len(state.identity) else 0.0,
        "focal_px": float(crop.intrinsics_px[0, 0] if start is None else start.intrinsics_px[0, 0])
        * float(state.log_focal.exp()),
    }
    problem = _what_is_wrong(state, figures, fit.residual(state, doubt=False), alone=start is None)
    if problem and start is None:
        raise ValueError(f"{problem}: are these the landmarks of this photograph's face?")
    seconds = time.perf_counter() - began
    if problem and start is not None:
        return start, StageRecord(_NAME, False, problem, seconds, figures, {"objective": history})
    before, after = figures["residual_before_percent"], figures["residual_after_percent"]
    reason = f"landmarks are {after:.2f} % of the face's size off" + (
        "" if start is None else f", before they were {before:.2f} %"
    )
    return fit.face(state), StageRecord(_NAME, True, reason, seconds, figures, {"objective": history})


class _Fit:
    """One face's problem in float64 on the CPU, whatever the device: it has 160 unknowns."""

    def __init__(
        self, model: MorphableModel, crop: FaceCrop, start: FittedFace | None, config: LandmarkFitConfig
    ) -> None:
        self._model, self._crop, self._start, self._config = model, crop, start, config
        self._intrinsics_px = _precise(crop.intrinsics_px if start is None else start.intrinsics_px)
        self._target_px, self._weight = _precise(crop.landmarks68_px), _precise(crop.landmarks68_weight)
        candidates = contour_candidates(model) if config.jaw == "contour" else None
        self._identity_center = _precise(model.identity_center)
        self._head = point_head(model, start, None if candidates is None else candidates.flatten())
        box = self._target_px[self._weight > 0.0]
        extent = (box.amax(0) - box.amin(0)).clamp(min=1.0)
        self._box_px = float(extent.prod().sqrt())
        self._choose = (
            (lambda state: torch.arange(68))
            if candidates is None
            else ContourJaw(self._head, self._intrinsics_px, self._target_px, candidates.shape[1])
        )
        normals = vertex_normals(model.mean_mm[None], model.faces)
        self._normals = _precise(torch.nn.functional.normalize(model.landmarks(normals)[0], dim=-1))

    def first_state(self) -> HeadState:
        if self._start is None:
            return weak_perspective_state(
                self._head.rows(torch.arange(68)), self._target_px, self._weight, self._intrinsics_px
            )
        parameters = self._start.parameters
        return HeadState(
            rotation=_precise(parameters.rotation[0]),
            translation_mm=_precise(parameters.translation_mm[0]),
            identity=_precise(parameters.identity[0]),
            expression=_precise(parameters.expression[0]).clamp(0.0, 1.0),
            log_focal=torch.zeros((), dtype=torch.float64),
        )

    def run(self, first: HeadState) -> tuple[HeadState, list[float]]:
        alone = self._start is None
        if alone:
            # The pose first, and not yet doubting points that only the mean face's shape puts wrong.
            first, _ = solve(self._problem(first, pose_only=True, robust="huber"), first, 20)
            first, _ = solve(self._problem(first, pose_only=False, robust="huber"), first, 10)
        return solve(self._problem(first, pose_only=False, robust=self._config.robust), first, _MOST_STEPS)

    def _problem(self, state: HeadState, *, pose_only: bool, robust: Robust) -> PointProblem:
        config, alone = self._config, self._start is None
        prior = self.first_state() if not alone else _mean_state(state, self._identity_center)
        identity = torch.full_like(state.identity, (1.0 if alone else config.identity_sd) ** -2)
        expression = torch.full_like(state.expression, (_EXPRESSION_SD_ALONE if alone else config.expression_sd) ** -2)
        pose = state.identity.new_zeros(POSE_COUNT)
        focal = state.identity.new_full((1,), _FOCAL_LOG_SD**-2)
        free = torch.ones(POSE_COUNT + len(identity) + len(expression) + 1, dtype=torch.bool)
        free[-1] = config.focal == "estimate" and not pose_only
        if pose_only:
            free[POSE_COUNT:] = False
        return PointProblem(
            head=self._head,
            choose=self._choose,
            target_px=self._target_px,
            weight=self._weights(state),
            noise_px=config.noise * self._box_px,
            intrinsics_px=self._intrinsics_px,
            prior=prior,
            prior_precision=torch.cat((pose, identity, expression, focal)),
            free=free,
            robust=robust,
        )

    def _weights(self, state: HeadState) -> Float[Tensor, "68"]:
        seen = landmark_visibility(self._normals, state.rotation[None], state.translation_mm[None], _HIDDEN_WEIGHT)
        return self._weight * seen[0]

    def residual(self, state: HeadState, *, doubt: bool = True) -> float:
        """Weighted mean distance of the landmarks over the size of the face, doubted ones at the limit of doubt."""
        projected, _ = project_points(self._head.rows(self._choose(state)), state, self._intrinsics_px)
        distance = (projected - self._target_px).norm(dim=-1) / self._box_px
        if doubt and self._config.robust != "none":
            distance = distance.clamp(max=ROBUST_LIMIT * self._config.noise)
        return float((self._weight * distance).sum() / self._weight.sum())

    def face(self, state: HeadState) -> FittedFace:
        """The fit as the next stages take it."""
        like, start = self._crop.image_srgb, self._start
        intrinsics_px = (self._crop.intrinsics_px if start is None else start.intrinsics_px).clone()
        intrinsics_px[0, 0] *= float(state.log_focal.exp())
        intrinsics_px[1, 1] *= float(state.log_focal.exp())
        moved = {
            name: getattr(state, name)[None].to(like)
            for name in ("rotation", "translation_mm", "identity", "expression")
        }
        if start is not None:
            return replace(start, parameters=replace(start.parameters, **moved), intrinsics_px=intrinsics_px)
        model = self._model
        neutral = FaceParameters.neutral(
            1, model.identity_count, model.expression_count, model.albedo_count, str(like.device)
        )
        return FittedFace(replace(neutral, **moved), None, intrinsics_px)


def point_head(model: MorphableModel, start: FittedFace | None, extra: Tensor | None = None) -> PointHead:
    """The head at iBUG's 68 points and at extra vertices, with the offsets of an earlier answer."""
    offsets_mm = None if start is None or start.detail is None else start.detail.offsets_mm
    mean = model.mean_mm[None] if offsets_mm is None else model.mean_mm + offsets_mm
    parts = [
        (
            model.landmarks(mean)[0],
            model.get_buffer("ibug68_identity").unflatten(-1, (-1, 3)),
            model.get_buffer("ibug68_expression").unflatten(-1, (-1, 3)),
        )
    ]
    if extra is not None:
        bases = (model.identity_basis, model.expression_basis)
        identity_there, expression_there = (basis.unflatten(-1, (-1, 3))[:, extra] for basis in bases)
        parts.append((mean[0, extra], identity_there, expression_there))
    mean_mm, identity, expression = zip(*parts, strict=True)
    return PointHead(
        _precise(torch.cat(mean_mm)), _precise(torch.cat(identity, dim=1)), _precise(torch.cat(expression, dim=1))
    )


def _mean_state(state: HeadState, identity_center: Float[Tensor, " identity"]) -> HeadState:
    zeros = {name: torch.zeros_like(getattr(state, name)) for name in ("expression", "log_focal")}
    return replace(state, identity=identity_center, **zeros)


def _what_is_wrong(state: HeadState, figures: dict[str, float], undoubted: float, *, alone: bool) -> str:
    """Empty if the fit may be kept."""
    values = torch.cat((state.rotation.flatten(), state.translation_mm, state.identity, state.expression))
    before, after = figures["residual_before_percent"], figures["residual_after_percent"]
    if not bool(torch.isfinite(values).all()) or not math.isfinite(after):
        return "the landmark fit did not converge"
    if float(state.translation_mm[2]) > -50.0:
        return "the fitted head lies at or behind the camera"
    if len(state.identity) and float(state.identity.abs().amax()) > _LARGEST_COEFFICIENT_SD:
        return f"an identity coefficient of {float(state.identity.abs().amax()):.1f} standard deviations is no face"
    if undoubted > _NO_FACE:
        return f"the fitted head's landmarks are {100.0 * undoubted:.0f} % of the face's size off"
    if not alone and after > before * (1.0 + 1e-6) + 1e-6:
        return f"landmarks would be {after:.2f} % of the face's size off instead of {before:.2f} %"
    return ""


def _precise(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float64)
