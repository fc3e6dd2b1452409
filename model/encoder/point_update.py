"""Moves a head's coefficients and pose until its points lie where they are seen.

The parameter head says what is likely, the point decoder what is seen and how surely. The most likely head given
both is a regularised least-squares problem (the maximum a posteriori estimate of Blanz and Vetter, "Face identification
based on sparse correspondences", PAMI 2003), solved here by two Gauss-Newton steps, through which training sends its
gradient.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.parameter_head import to_unit_interval
from model.face.morphable_model import MorphableModel
from model.face.openings import EYES_478, LIPS_478
from model.geometry.camera import project, projection_slope
from model.geometry.rotation import rotation_from_vector
from model.parameters import FaceParameters

_EVERY = 3
_STEPS = 2
_ITERATIONS = 20
_LIPS = tuple(index for pair in LIPS_478 for index in pair)
_EYES = tuple(index for pair in EYES_478 for index in pair)
_IRISES = tuple(range(468, 478))

MESH_POINTS = tuple(sorted({*range(0, 468, _EVERY), *_LIPS, *_EYES, *_IRISES}))
"""Which of MediaPipe's 478 points are looked for: a third of its mesh, and those that lids, lips and irises turn on."""

# Standard deviations to begin with: identity in its own, blendshape weights, turns in radians, shifts and depth over
# the distance. Errors of neighbouring points are alike, so that each counts for less than its own error says.
_IDENTITY, _EXPRESSION, _TURN, _SHIFT, _DEPTH, _ALIKE = 0.7, 0.1, 0.1, 0.02, 0.05, 3.0


def point_sets(model: MorphableModel) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The points that are looked for, by landmark set of a head: all of iBUG's, and `MESH_POINTS` where it has them."""
    sets: list[tuple[str, tuple[int, ...]]] = [("ibug68", tuple(range(68)))]
    if "mediapipe478" in model.landmark_names:
        sets.append(("mediapipe478", MESH_POINTS))
    return tuple(sets)


class PointUpdate(nn.Module):
    """From a likely head and points to the most likely head.

    Attributes:
        point_count: How many points.
    """

    mean_mm: Float[Tensor, "point 3"]
    basis_mm: Float[Tensor, "point 3 component"]
    anchor_mm: Float[Tensor, "3"]

    def __init__(self, model: MorphableModel, anchor_mm: Float[Tensor, "3"]) -> None:
        """Prepare the points of the head.

        Args:
            model: The head.
            anchor_mm: The point of the head about which it turns, model space.
        """
        super().__init__()
        counts = model.identity_count, model.expression_count
        means, bases = [], []
        for name, chosen in point_sets(model):
            means.append(model.landmarks(model.mean_mm[None], name)[0, list(chosen)])
            offsets = [model.get_buffer(f"{name}_{kind}").unflatten(-1, (-1, 3)) for kind in ("identity", "expression")]
            bases.append(torch.cat(offsets)[:, list(chosen)].permute(1, 2, 0))
        self.register_buffer("mean_mm", torch.cat(means), persistent=False)
        self.register_buffer("basis_mm", torch.cat(bases).contiguous(), persistent=False)
        self.register_buffer("anchor_mm", anchor_mm.clone(), persistent=False)
        self.point_count = len(self.mean_mm)
        self._counts = counts
        pose = (_TURN, _TURN, _TURN, _SHIFT, _SHIFT, _DEPTH)
        first = torch.tensor([_IDENTITY] * counts[0] + [_EXPRESSION] * counts[1] + list(pose))
        self.log_deviation = nn.Parameter(first.log())
        self.log_alike = nn.Parameter(torch.full((self.point_count,), _ALIKE).log())

    def forward(
        self,
        first: FaceParameters,
        points: Float[Tensor, "batch point 2"],
        log_distance: Float[Tensor, "batch point"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        image_size: int,
    ) -> FaceParameters:
        """Move likely heads towards the points.

        Args:
            first: What the parameter head says.
            points: Where the points are seen, in sides of the crop.
            log_distance: Logarithm of the distance that they are expected to be off, in the same unit.
            intrinsics_px: Intrinsics of the crops.
            image_size: Side of the crops in px.
        """
        # Without gradient to the doubt: it has a likelihood of its own to learn from, and shall stay honest.
        noise = (log_distance.detach() + self.log_alike).exp()
        deviation = self.log_deviation.exp()
        weight = noise.reciprocal().repeat_interleave(2, dim=1)
        answer, so_far = first, torch.zeros_like(deviation).expand(points.shape[0], -1)
        for _ in range(_STEPS):
            difference, slope = self.look(answer, points, intrinsics_px, image_size)
            slope = slope * weight[:, :, None] * deviation
            step = solve_regularized(slope, (slope.mT @ (difference * weight)[:, :, None])[..., 0] - so_far)
            answer, so_far = self.moved(answer, step * deviation), so_far + step
        return answer

    def places(
        self, parameters: FaceParameters, intrinsics_px: Float[Tensor, "batch 3 3"], image_size: int
    ) -> Float[Tensor, "batch point 2"]:
        """Where heads have their points, in sides of the crop."""
        return project(self._camera_mm(parameters)[1], intrinsics_px)[..., :2] / image_size

    def look(
        self,
        parameters: FaceParameters,
        points: Float[Tensor, "batch point 2"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        image_size: int,
    ) -> tuple[Float[Tensor, "batch coordinate"], Float[Tensor, "batch coordinate unknown"]]:
        """How far seen points lie from the heads', x and y in turn, and how these move with the unknowns."""
        turned_mm, camera_mm = self._camera_mm(parameters)
        difference = points - project(camera_mm, intrinsics_px)[..., :2] / image_size
        # Where the tangents are taken is no matter for the gradient: at the solution they only change the way there.
        with torch.no_grad():
            projection = projection_slope(camera_mm, intrinsics_px) / image_size
            in_model = projection @ parameters.rotation[:, None]
            by_coefficient = in_model @ self.basis_mm
            # A turn w moves a point q by w x q, which is -[q] w.
            by_turn = torch.linalg.cross(turned_mm[:, :, None], projection, dim=-1)
            distance_mm = -self._anchor_camera_mm(parameters)[:, 2, None, None, None]
            slope = torch.cat((by_coefficient, by_turn, projection * distance_mm), dim=-1)
        return difference.flatten(1), slope.flatten(1, 2)

    def _camera_mm(
        self, parameters: FaceParameters
    ) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point 3"]]:
        """The points in camera axes, from the anchor and from the camera."""
        coefficients = torch.cat((parameters.identity, parameters.expression), dim=1)
        model_mm = self.mean_mm + (coefficients @ self.basis_mm.flatten(0, 1).mT).unflatten(1, (-1, 3))
        turned_mm = (model_mm - self.anchor_mm) @ parameters.rotation.mT
        return turned_mm, turned_mm + self._anchor_camera_mm(parameters)[:, None]

    def _anchor_camera_mm(self, parameters: FaceParameters) -> Float[Tensor, "batch 3"]:
        return parameters.rotation @ self.anchor_mm + parameters.translation_mm

    def moved(self, old: FaceParameters, step: Float[Tensor, "batch unknown"]) -> FaceParameters:
        """The heads a step on: identity, blendshape weights, turn about the anchor in radians, shift over distance."""
        identity_step, expression_step, turn, shift = step.split((*self._counts, 3, 3), dim=1)
        anchor_mm = self._anchor_camera_mm(old)
        anchor_mm = anchor_mm - anchor_mm[:, 2:] * shift
        rotation = rotation_from_vector(turn) @ old.rotation
        return replace(
            old,
            identity=old.identity + identity_step,
            expression=to_unit_interval(old.expression + expression_step),
            rotation=rotation,
            translation_mm=anchor_mm - rotation @ self.anchor_mm,
        )


def solve_regularized(
    slope: Float[Tensor, "batch row column"], right: Float[Tensor, "batch column"]
) -> Float[Tensor, "batch column"]:
    """Solve `(1 + slope^T slope) x = right` by conjugate gradients.

    The unknowns are in standard deviations, so that all but the few directions that the rows speak of have the
    eigenvalue 1, and twenty iterations are as good as exact. Nothing but products, so that it can be exported.
    """
    return _Solve.apply(slope, right)[0]  # pyright: ignore[reportIndexIssue]


class _Solve(torch.autograd.Function):
    """The gradient of a solution is a solution, too; that of the iterations themselves would be unstable."""

    @staticmethod
    def forward(slope: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        matrix = slope.mT @ slope
        matrix = matrix + torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        return _conjugate_gradients(matrix, right), matrix

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]
    ) -> None:
        answer, matrix = output
        ctx.mark_non_differentiable(matrix)
        ctx.save_for_backward(inputs[0], matrix, answer)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, Tensor]:
        slope, matrix, answer = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        back = _conjugate_gradients(matrix, gradients[0])
        if not ctx.needs_input_grad[0]:  # pyright: ignore[reportAttributeAccessIssue]
            return None, back
        by_answer, by_back = slope @ answer[..., None], slope @ back[..., None]
        return -(by_answer * back[:, None] + by_back * answer[:, None]), back


def _conjugate_gradients(matrix: Tensor, right: Tensor) -> Tensor:
    # As rows of a matrix, and with as few operations as can be: each is a node of an exported file, of which many small
    # ones cost more than the arithmetic.
    left = direction = right[:, None]
    answer, square = torch.zeros_like(left), left @ left.mT
    # Ends the division by zero of an exact answer, and is nothing beside a standard deviation.
    least = torch.finfo(right.dtype).tiny
    for iteration in range(_ITERATIONS):
        pushed = direction @ matrix
        length = square / (direction @ pushed.mT + least)
        answer = answer + length * direction
        if iteration + 1 < _ITERATIONS:
            left = left - length * pushed
            new = left @ left.mT
            direction = left + new / (square + least) * direction
            square = new
    return answer[:, 0]
