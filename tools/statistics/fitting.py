"""Fit a linear head to labelled points of many photographs at once.

Weak perspective, because the labels were made with it (3DDFA's shape model): with camera axes x right, y up, z towards
the viewer, `label_px = scale * R @ (mean + sum_k c_k basis_k) + shift`. Alternates a closed-form shift, a Gauss-Newton
step in rotation and scale, and ridge regression of the coefficients by normal equations, expressions bounded by an
active set. Depths of labels come from a network, so they count less (`depth_weight`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.ranges import AT_LEAST_ONE, POSITIVE, checked
from model.face.assets import HeadAssets
from tools.statistics.surface import SurfacePoints

_EXPRESSION_SD = 0.25
"""Standard deviation of the expression weights' prior, centred at 0."""


@dataclass(frozen=True)
class PointModel:
    """A linear head evaluated at L points only.

    Attributes:
        mean_mm: Points of the mean head.
        identity_basis: mm per standard deviation.
        expression_basis: mm at weight 1.
    """

    mean_mm: Float[Tensor, "point 3"]
    identity_basis: Float[Tensor, "identity point 3"]
    expression_basis: Float[Tensor, "expression point 3"]


def point_model(head: HeadAssets, points: SurfacePoints) -> PointModel:
    """The head at some points only."""
    arrays = (head.vertices_mm, head.identity_basis, head.expression_basis)
    return PointModel(*(torch.from_numpy(points.evaluate(array, head.faces)) for array in arrays))


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("iterations", "batch"), POSITIVE: ("noise_mm",)})
class FitConfig:
    """How much the labels are believed.

    Attributes:
        iterations: Alternations of pose and shape.
        noise_mm: Standard deviation of a label. Neighbouring labels err together, so it stands above their scatter.
        depth_weight: Weight of a label's depth beside its x and y.
        batch: Photographs per batch.
    """

    iterations: int = 6
    noise_mm: float = 2.5
    depth_weight: float = 0.15
    batch: int = 512


@dataclass(frozen=True)
class PointFit:
    """The head in N photographs.

    Attributes:
        identity: Standard deviations.
        expression: Weights in [0, 1].
        rotation: Head to camera.
        scale: px per mm.
        shift_px: Image of the model's origin (x px, y px up, z px).
        residual_px: Label minus fit.
    """

    identity: Float[Tensor, "photo identity"]
    expression: Float[Tensor, "photo expression"]
    rotation: Float[Tensor, "photo 3 3"]
    scale: Float[Tensor, " photo"]
    shift_px: Float[Tensor, "photo 3"]
    residual_px: Float[Tensor, "photo point 3"]


def fit_points(
    model: PointModel,
    labels_px: Float[Tensor, "photo point 3"],
    config: FitConfig,
    *,
    identity_center: Float[Tensor, " identity"] | None = None,
    point_weight: Float[Tensor, " point"] | None = None,
) -> PointFit:
    """Fit identity, expression and pose to every photograph's labels.

    Args:
        model: The head at the labelled points.
        labels_px: x right, y up, z towards the viewer; z with any offset.
        config: Trust in labels and priors.
        identity_center: Mean of the identity prior (standard deviation 1 around it); zero if not given.
        point_weight: Weight of each point; ones if not given.

    Returns:
        The fits.
    """
    center = torch.zeros(len(model.identity_basis)) if identity_center is None else identity_center
    weight = torch.ones(len(model.mean_mm)) if point_weight is None else point_weight
    parts = [_fit_batch(model, part, config, center, weight) for part in labels_px.split(config.batch)]
    return PointFit(*(torch.cat([getattr(p, name) for p in parts]) for name in PointFit.__dataclass_fields__))


def _fit_batch(model: PointModel, labels: Tensor, config: FitConfig, center: Tensor, weight: Tensor) -> PointFit:
    share = (weight / weight.sum())[:, None]
    mean = model.mean_mm - (share * model.mean_mm).sum(0)
    basis = torch.cat([model.identity_basis, model.expression_basis])
    offset = (share * basis).sum(1)
    basis = basis - offset[:, None]
    target_mean = (share * labels).sum(1, keepdim=True)
    target = labels - target_mean
    axis_weight = torch.tensor([1.0, 1.0, config.depth_weight])
    count = len(center)
    precision = torch.cat([torch.ones(count), torch.full((len(basis) - count,), _EXPRESSION_SD**-2)])
    coefficients = torch.cat([center, torch.zeros(len(basis) - count)]).expand(len(labels), -1)
    rotation, scale = _procrustes(mean + _combine(coefficients, basis), target, weight)
    for _ in range(config.iterations):
        shape = mean + _combine(coefficients, basis)
        for _ in range(2):
            rotation, scale = _pose_step(shape, target, rotation, scale, weight, axis_weight)
        coefficients = _solve_coefficients(
            mean, basis, target / scale[:, None, None], rotation, weight, axis_weight, precision, center, config
        )
    shape = mean + _combine(coefficients, basis)
    residual = target - scale[:, None, None] * shape @ rotation.transpose(1, 2)
    origin = (share * model.mean_mm).sum(0) + coefficients @ offset
    shift = target_mean[:, 0] - scale[:, None] * (rotation @ origin[..., None])[..., 0]
    return PointFit(coefficients[:, :count], coefficients[:, count:], rotation, scale, shift, residual)


def _combine(coefficients: Tensor, basis: Tensor) -> Tensor:
    return (coefficients @ basis.flatten(1)).unflatten(1, basis.shape[1:])


def _procrustes(shape: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation and scale of all three axes (Umeyama 1991), as a start."""
    left, spread, right = torch.linalg.svd(torch.einsum("nlx,nly,l->nxy", target, shape, weight))
    sign = torch.ones_like(spread)
    sign[:, 2] = torch.det(left @ right)
    scale = (spread * sign).sum(1) / (shape.square().sum(2) @ weight)
    return left @ torch.diag_embed(sign) @ right, scale


def _pose_step(
    shape: Tensor, target: Tensor, rotation: Tensor, scale: Tensor, weight: Tensor, axis_weight: Tensor
) -> tuple[Tensor, Tensor]:
    """One Gauss-Newton step in a rotation vector on the left of `rotation` and the logarithm of the scale."""
    turned = scale[:, None, None] * shape @ rotation.transpose(1, 2)
    x, y, z = turned.unbind(-1)
    zero = torch.zeros_like(x)
    columns = [torch.stack(c, -1) for c in ((zero, -z, y), (z, zero, -x), (-y, x, zero))] + [turned]
    jacobian = torch.stack(columns, -1)
    weighted = jacobian * (weight[:, None] * axis_weight)[None, ..., None]
    hessian = torch.einsum("nlxi,nlxj->nij", weighted, jacobian)
    step = torch.linalg.solve(hessian, torch.einsum("nlxi,nlx->ni", weighted, target - turned))
    cross = torch.zeros(len(step), 3, 3)
    for row, column, axis, sign in (
        (2, 1, 0, 1),
        (0, 2, 1, 1),
        (1, 0, 2, 1),
        (1, 2, 0, -1),
        (2, 0, 1, -1),
        (0, 1, 2, -1),
    ):
        cross[:, row, column] = sign * step[:, axis]
    return torch.linalg.matrix_exp(cross) @ rotation, scale * step[:, 3].clamp(-0.5, 0.5).exp()


def _solve_coefficients(
    mean: Tensor,
    basis: Tensor,
    target_mm: Tensor,
    rotation: Tensor,
    weight: Tensor,
    axis_weight: Tensor,
    precision: Tensor,
    center: Tensor,
    config: FitConfig,
) -> Tensor:
    """Ridge regression in the head's own frame; expressions beyond [0, 1] are held at the bound, the rest re-solved."""
    metric = torch.einsum("nyx,y,nyz->nxz", rotation, axis_weight, rotation) / config.noise_mm**2
    wanted = target_mm @ rotation - mean
    moved = torch.einsum("klx,nxz->nklz", basis * weight[:, None], metric).flatten(2)
    hessian = moved @ basis.flatten(1).T + torch.diag(precision)
    count = len(center)
    gradient = (moved @ wanted.flatten(1)[..., None])[..., 0]
    gradient[:, :count] += center
    free = _solve(hessian, gradient)
    solution = free
    bound = torch.zeros_like(free, dtype=torch.bool)
    for _ in range(3):
        expression = solution[:, count:]
        bound[:, count:] |= (expression < 0) | (expression > 1)
        pinned = solution.clamp(0.0, 1.0)
        stiff = 1e6 * bound.to(free.dtype)
        solution = _solve(hessian + torch.diag_embed(stiff), gradient + stiff * pinned)
    solution[:, count:].clamp_(0.0, 1.0)
    return solution


def _solve(hessian: Tensor, gradient: Tensor) -> Tensor:
    return torch.cholesky_solve(gradient[..., None], torch.linalg.cholesky(hessian))[..., 0]


def normalized_mean_error(residual_px: Tensor, box_px: Tensor) -> np.ndarray:
    """Mean distance in the image over the box's size, in per cent, one number a photograph."""
    return (100.0 * residual_px[..., :2].norm(dim=-1).mean(1) / box_px).numpy()
