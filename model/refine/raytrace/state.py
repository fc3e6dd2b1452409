"""`RaytracedState`: what the ray-traced stage knew before it gave the skin a texture; where stage 4 begins."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.problem import Problem
from model.refine.raytrace.surface import PixelSurface
from model.refine.raytrace.tables import irradiance


@dataclass(frozen=True)
class RaytracedState:
    """Light and statistical skin at P samples of a shape.

    Attributes:
        surface: The samples.
        problem: What is known there. It holds no sample of the transport tables, which are large: what they make of
            the light is in `arriving` and `glossy`.
        setup: The kind of light.
        light: Its coefficients.
        albedo_linear: Statistical albedo of the samples, without texture.
        arriving: Their irradiance.
        glossy: Their reflection.
    """

    surface: PixelSurface
    problem: Problem
    setup: LightSetup
    light: Float[Tensor, "light 3"]
    albedo_linear: Float[Tensor, "sample 3"]
    arriving: Float[Tensor, "sample 3"]
    glossy: Float[Tensor, "sample 3"]

    def radiance(self) -> Float[Tensor, "sample 3"]:
        """What the camera sees of the samples."""
        return self.albedo_linear * self.arriving + self.glossy


def statistical_state(
    surface: PixelSurface,
    problem: Problem,
    setup: LightSetup,
    light: Float[Tensor, "light 3"],
    coefficients: Float[Tensor, " component"],
    glossy: Float[Tensor, "sample 3"],
) -> RaytracedState:
    """The state of a search whose texture is still empty."""
    return RaytracedState(
        surface=surface,
        problem=problem.without_tables(),
        setup=setup,
        light=light,
        albedo_linear=problem.albedo_linear(coefficients),
        arriving=irradiance(problem.tables, light),
        glossy=glossy,
    )
