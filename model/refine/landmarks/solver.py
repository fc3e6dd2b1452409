"""Levenberg-Marquardt for a linear head before a camera: robust, with Gaussian priors and bounded expressions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from model.refine.landmarks.points import POSE_COUNT, HeadState, PointHead, project_points

Robust = Literal["geman_mcclure", "huber", "none"]

ROBUST_LIMIT = 4.0
"""Residual, in standard deviations, from which a target is doubted: chance alone gets there once in some thousand."""

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-9, 1e7
_CONVERGED = 1e-7
_BOUND_PASSES = 4


@dataclass(frozen=True)
class PointProblem:
    """What is asked of the head.

    Attributes:
        head: At any number of candidate points.
        choose: Which candidate stands for each target, in a given state; called once per step.
        target_px: Where the points shall lie.
        weight: Of each target.
        noise_px: Standard deviation of a target's coordinate.
        intrinsics_px: The camera.
        prior: Mean of the coefficients' prior (only identity, expression and focal length are read).
        prior_precision: Inverse variance of every unknown's prior.
        free: Unknowns that may move.
        robust: How large residuals count.
    """

    head: PointHead
    choose: Callable[[HeadState], Tensor]
    target_px: Float[Tensor, "target 2"]
    weight: Float[Tensor, " target"]
    noise_px: float
    intrinsics_px: Float[Tensor, "3 3"]
    prior: HeadState
    prior_precision: Float[Tensor, " unknown"]
    free: Bool[Tensor, " unknown"]
    robust: Robust


def solve(problem: PointProblem, state: HeadState, iterations: int) -> tuple[HeadState, list[float]]:
    """Minimise half the sum of robust squared residuals and squared prior deviations.

    Marquardt's damping by the diagonal (Marquardt 1963); targets far off are weighted down anew in each step (iterated
    reweighting); expression weights that a step would push over their bound are held and the step is solved again.

    Args:
        problem: What is asked.
        state: Where to start.
        iterations: Most steps, rejected ones included.

    Returns:
        The best state and the objective after every accepted step, the start's first.
    """
    damping = _FIRST_DAMPING
    chosen = problem.choose(state)
    cost = _cost(problem, chosen, state)
    history = [cost]
    for _ in range(iterations):
        hessian, gradient = _normal_equations(problem, chosen, state)
        step = _bounded_step(problem, state, hessian, gradient, damping)
        moved = state.moved(step)
        reached = _cost(problem, chosen, moved)
        if not reached < cost:
            damping *= 8.0
            if damping > _MOST_DAMPING:
                break
            continue
        gain = cost - reached
        state, damping = moved, max(damping / 5.0, _LEAST_DAMPING)
        # Another point of the head may be on the outline now: the objective starts from there.
        chosen = problem.choose(state)
        cost = _cost(problem, chosen, state)
        history.append(cost)
        if gain < _CONVERGED * (1.0 + reached):
            break
    return state, history


def _normal_equations(problem: PointProblem, chosen: Tensor, state: HeadState) -> tuple[Tensor, Tensor]:
    projected, jacobian = project_points(problem.head.rows(chosen), state, problem.intrinsics_px)
    residual = (projected - problem.target_px) / problem.noise_px
    weight = problem.weight * _robust_weight(problem, residual)
    rows = jacobian / problem.noise_px
    weighted = (rows * weight[:, None, None]).flatten(0, 1)
    hessian = weighted.T @ rows.flatten(0, 1) + torch.diag(problem.prior_precision)
    gradient = weighted.T @ residual.flatten() + problem.prior_precision * _deviation(problem.prior, state)
    return hessian, gradient


def _bounded_step(
    problem: PointProblem, state: HeadState, hessian: Tensor, gradient: Tensor, damping: float
) -> Float[Tensor, " unknown"]:
    # Marquardt's diagonal; unknowns that nothing depends on get a little, so that the factorisation exists.
    damped = hessian + torch.diag(damping * hessian.diagonal() + 1e-9)
    first = POSE_COUNT + len(state.identity)
    free = problem.free.clone()
    step = torch.zeros_like(gradient)
    for _ in range(_BOUND_PASSES):
        index = free.nonzero()[:, 0]
        factor = torch.linalg.cholesky(damped[index][:, index])
        step = torch.zeros_like(gradient)
        step[index] = torch.cholesky_solve(-gradient[index, None], factor)[:, 0]
        wanted = state.expression + step[first:-1]
        outward = ((state.expression <= 0.0) & (wanted < 0.0)) | ((state.expression >= 1.0) & (wanted > 1.0))
        if not bool((outward & free[first:-1]).any()):
            break
        free[first:-1] &= ~outward
    return step


def _cost(problem: PointProblem, chosen: Tensor, state: HeadState) -> float:
    projected, _ = project_points(problem.head.rows(chosen), state, problem.intrinsics_px)
    squared = ((projected - problem.target_px) / problem.noise_px).square().sum(-1)
    limit = ROBUST_LIMIT**2
    if problem.robust == "geman_mcclure":
        squared = squared / (1.0 + squared / limit)
    elif problem.robust == "huber":
        squared = torch.where(squared > limit, 2.0 * (limit * squared).sqrt() - limit, squared)
    prior = (problem.prior_precision * _deviation(problem.prior, state).square()).sum()
    return 0.5 * float((problem.weight * squared).sum() + prior)


def _robust_weight(problem: PointProblem, residual: Float[Tensor, "target 2"]) -> Float[Tensor, " target"]:
    squared = residual.square().sum(-1) / ROBUST_LIMIT**2
    if problem.robust == "geman_mcclure":
        return (1.0 + squared).square().reciprocal()
    if problem.robust == "huber":
        return squared.clamp(min=1.0).rsqrt()
    return torch.ones_like(squared)


def _deviation(prior: HeadState, state: HeadState) -> Float[Tensor, " unknown"]:
    pose = state.identity.new_zeros(POSE_COUNT)
    focal = (state.log_focal - prior.log_focal)[None]
    return torch.cat((pose, state.identity - prior.identity, state.expression - prior.expression, focal))
