"""Light for a given albedo, and albedo coefficients for a given light: each linear, solved in turns.

A good start matters more than the steps after it: from a uniform light, 160 steps of Adam leave ten times as much of a
cast shadow in the albedo (docs/log.md).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import irradiance
from model.render.color import REC709_LUMINANCE, linear_to_srgb

_PROJECTED_STEPS = 200
_LIGHT_RIDGE = 1e-3
"""Pull towards light from everywhere, over the mean of the Gram matrix's diagonal."""
_COEFFICIENT_RIDGE = 0.012
"""Pull of the albedo coefficients, all together, towards where they started."""
_UNSEEN_RIDGE = 0.05
"""Weight of what the coefficients change of the albedo anywhere, beside a squared residual: where hair hides the brows,
nothing else holds them."""
_COLOR_ROUNDS = 2
_SLOPE_STEP = 1e-3


def solve_in_turns(
    problem: SkinProblem,
    start_coefficients: Float[Tensor, " component"],
    reflection: Float[Tensor, "sample light"],
    *,
    nonnegative: bool,
    rounds: int,
) -> tuple[Float[Tensor, "light 3"], Float[Tensor, " component"]]:
    """Light and albedo coefficients that explain the photograph, in the least-squares sense.

    Residuals count as they look: in linear light, times the slope of sRGB's curve at the photograph.

    Args:
        problem: What is seen.
        start_coefficients: Where the coefficients are pulled to.
        reflection: Glossy transport of the samples' materials.
        nonnegative: Whether light below 0 makes no sense.
        rounds: How often each is solved for.

    Returns:
        Light and coefficients.
    """
    weight = importance(problem)
    coefficients, light = start_coefficients, None
    for _ in range(rounds):
        light = solve_light(problem, problem.albedo_linear(coefficients), reflection, weight, nonnegative=nonnegative)
        coefficients = _solve_coefficients(problem, light, reflection, weight, start_coefficients)
    assert light is not None, "no round at all"
    return light, coefficients


def importance(problem: SkinProblem) -> Float[Tensor, "sample 3"]:
    """Weight of a sample's channels in linear light, square root of it.

    None for samples with a saturated channel: the two others alone would be the light's colour.
    """
    linear = problem.observed_linear
    slope = (linear_to_srgb(linear + _SLOPE_STEP) - linear_to_srgb(linear)) / _SLOPE_STEP
    return slope * problem.weight.sqrt()[:, None] * ~problem.saturated.any(1, keepdim=True)


def solve_light(
    problem: SkinProblem,
    albedo_linear: Float[Tensor, "sample 3"],
    reflection: Float[Tensor, "sample light"],
    weight: Float[Tensor, "sample 3"],
    *,
    nonnegative: bool,
) -> Float[Tensor, "light 3"]:
    """Light of one colour for a given albedo: all lights' strengths, then the colour.

    Solved for each channel by itself, red cheeks would become red lamps beside them.
    """
    transport = [_seen_light(problem, albedo_linear, reflection, channel) for channel in range(3)]
    observed = problem.observed_linear
    if not problem.color:
        rows = sum(share * rows for share, rows in zip(REC709_LUMINANCE, transport, strict=True))
        assert isinstance(rows, Tensor)
        grey = _solve(rows * weight[:, :1], observed[:, 0] * weight[:, 0], nonnegative)
        return grey[:, None].repeat(1, 3)
    color = observed.new_ones(3)
    strength = observed.new_zeros(len(transport[0].T))
    for _ in range(_COLOR_ROUNDS):
        rows = torch.cat([color[channel] * weight[:, channel, None] * rows for channel, rows in enumerate(transport)])
        strength = _solve(rows, (observed * weight).T.flatten(), nonnegative)
        arriving = torch.stack([rows @ strength for rows in transport], dim=1)
        squares = (arriving * weight).square().sum(0).clamp(min=1e-8)
        color = (arriving * observed * weight.square()).sum(0).clamp(min=0.0) / squares
    return strength[:, None] * color


def _seen_light(
    problem: SkinProblem, albedo_linear: Tensor, reflection: Tensor, channel: int
) -> Float[Tensor, "sample light"]:
    """Radiance of the samples under each basis light in one channel."""
    tables = problem.tables
    arriving = tables.diffuse
    if tables.bounce is not None:
        bounced = tables.bounce[..., channel]
        arriving = arriving + (bounced if tables.spread is None else bounced @ tables.spread)
    return albedo_linear[:, channel, None] * arriving + reflection


def _solve(rows: Float[Tensor, "sample light"], target: Float[Tensor, " sample"], nonnegative: bool) -> Tensor:
    """Ridge regression towards the same light from everywhere.

    Non-negative by accelerated projected gradients (FISTA: Beck and Teboulle, SIAM J. Imaging Sciences 2009).
    """
    gram, right = rows.T @ rows, rows.T @ target
    ridge = _LIGHT_RIDGE * gram.diagonal().mean().clamp(min=1e-8)
    gram = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    if not nonnegative:
        factor = torch.linalg.cholesky(gram.double())
        return torch.cholesky_solve(right[:, None].double(), factor)[:, 0].to(right.dtype)
    uniform = (right.sum() / gram.sum().clamp(min=1e-8)).clamp(min=0.0)
    right = right + ridge * uniform
    step = 1.0 / torch.linalg.matrix_norm(gram, 2)
    found = momentum = torch.full_like(right, float(uniform))
    speed = 1.0
    for _ in range(_PROJECTED_STEPS):
        following = (momentum - step * (gram @ momentum - right)).clamp(min=0.0)
        faster = 0.5 * (1.0 + (1.0 + 4.0 * speed * speed) ** 0.5)
        momentum = following + (speed - 1.0) / faster * (following - found)
        found, speed = following, faster
    return found


def _solve_coefficients(
    problem: SkinProblem, light: Tensor, reflection: Tensor, weight: Tensor, start: Float[Tensor, " component"]
) -> Float[Tensor, " component"]:
    arriving = irradiance(problem.tables, light)
    rest = problem.observed_linear - reflection @ light - problem.albedo_mean * arriving
    slopes = problem.albedo_basis * arriving
    if problem.color:
        rows, target = (slopes * weight).flatten(1), (rest * weight).flatten()
    else:
        shares = torch.tensor(REC709_LUMINANCE, dtype=rest.dtype, device=rest.device)
        rows, target = (slopes @ shares) * weight[:, 0], (rest @ shares) * weight[:, 0]
    count = problem.weight.sum().clamp(min=1e-6) * (3 if problem.color else 1)
    ridge = _COEFFICIENT_RIDGE / max(1, len(start))
    everywhere = problem.albedo_basis.flatten(1)
    unseen = _UNSEEN_RIDGE * (everywhere @ everywhere.T).double() / everywhere.shape[1]
    gram = (
        (rows @ rows.T / count).double()
        + unseen
        + ridge * torch.eye(len(start), dtype=torch.float64, device=rows.device)
    )
    right = (rows @ target / count).double() + (unseen @ start.double()) + ridge * start.double()
    return torch.cholesky_solve(right[:, None], torch.linalg.cholesky(gram))[:, 0].to(start.dtype)
