"""First half of the ray-traced stage: the light, together with the statistical albedo, too coarse to hold shadows."""

from jaxtyping import Float
from torch import Tensor

from model.refine.raytrace import priors
from model.refine.raytrace.config import RaytraceConfig, RaytraceWeights
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.light_setup import LightSpace
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import irradiance

_LIGHT_RATE, _COEFFICIENT_RATE = 0.05, 0.05
"""Steps of the light, over its mean, and of the albedo coefficients, in sd."""


def fit_light(
    problem: SkinProblem,
    space: LightSpace,
    light: Float[Tensor, "light 3"],
    coefficients: Float[Tensor, " component"],
    start_coefficients: Float[Tensor, " component"],
    reflection: Float[Tensor, "sample light"],
    texture: Float[Tensor, "sample 3"],
    config: RaytraceConfig,
    history: History,
) -> tuple[Float[Tensor, "light 3"], Float[Tensor, " component"]]:
    """Move light and albedo coefficients together, with everything that is believed of them.

    Args:
        problem: What is seen.
        space: The basis of the light.
        light: Where the light starts.
        coefficients: Where the albedo coefficients start.
        start_coefficients: Where they are pulled to.
        reflection: Glossy transport of the samples' materials.
        texture: What the statistical albedo is multiplied with.
        config: Steps, rates, weights.
        history: Gets the terms of every step.

    Returns:
        Light and coefficients.
    """
    if config.light_steps == 0:
        return light, coefficients
    weights = config.weights
    # Unknowns: the light in units of its own size, so that one rate fits all, and the coefficients in sd.
    scale = (light.mean() if space.nonnegative else light.abs().max()).clamp(min=1e-4)
    raw = (light / scale).detach().clone().requires_grad_()
    moved = coefficients.detach().clone().requires_grad_()
    start_tone = problem.tone(problem.albedo_linear(start_coefficients))

    def current() -> Tensor:
        # Linear radiance of each basis light; grey where the photograph is.
        value = raw * scale
        return value if problem.color else value.mean(1, keepdim=True).expand(-1, 3)

    def terms() -> dict[str, Tensor]:
        # Linear radiance at the camera: albedo times what arrives, and what is reflected; against the photograph's.
        value, albedo = current(), problem.albedo_linear(moved)
        arriving = irradiance(problem.tables, value)
        return {
            "distance": problem.distance(albedo * texture * arriving + reflection @ value),
            "coefficients": weights.coefficients
            * priors.moved_albedo(problem.albedo_basis, moved - start_coefficients),
            "tone": weights.tone * (problem.tone(albedo * texture) - start_tone).square().sum(),
            **_light_terms(problem, value, arriving, space, weights),
        }

    def nonnegative() -> None:
        if space.nonnegative:
            raw.clamp_(min=0.0)

    rates = ((raw, _LIGHT_RATE), (moved, _COEFFICIENT_RATE))
    descend(terms, rates, config.light_steps, history, "light", nonnegative)
    return current().detach(), moved.detach()


def _light_terms(
    problem: SkinProblem,
    light: Float[Tensor, "light 3"],
    arriving: Float[Tensor, "sample 3"],
    space: LightSpace,
    weights: RaytraceWeights,
) -> dict[str, Tensor]:
    strength = (arriving * problem.weight[:, None]).sum(0) / problem.weight.sum().clamp(min=1e-6)
    terms = {"white_light": weights.white_light * priors.white_light(strength)}
    if space.nonnegative:
        terms["lamp_chroma"] = weights.lamp_chroma * priors.lamp_chroma(light)
        terms["sparsity"] = weights.sparsity * priors.sparsity(light)
    if space.radiance is not None:
        terms["negative"] = weights.negative * priors.negative_radiance(space.radiance.to(light) @ light)
    if space.band is not None:
        terms["band"] = weights.band * priors.high_bands(light, space.band.to(light))
    return terms
