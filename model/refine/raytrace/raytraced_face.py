"""What the ray-traced stage answers, and what it knew before it gave the skin a texture: there stage 4 begins."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from model.export.appearance import Appearance
from model.refine.face import FittedFace
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.skin_problem import SkinProblem
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
    problem: SkinProblem
    setup: LightSetup
    light: Float[Tensor, "light 3"]
    albedo_linear: Float[Tensor, "sample 3"]
    arriving: Float[Tensor, "sample 3"]
    glossy: Float[Tensor, "sample 3"]

    def radiance(self) -> Float[Tensor, "sample 3"]:
        """What the camera sees of the samples."""
        return self.albedo_linear * self.arriving + self.glossy


@dataclass(frozen=True)
class RaytracedFace:
    """What the stage found.

    Attributes:
        fitted: The face; its shape, pose and camera are the start's.
        appearance: Skin and light; None where the answer was not accepted.
        rendered_linear: The face as they make it look.
        mask: Where it was compared with the photograph, [0, 1].
        albedo_linear: The diffuse albedo as the window shows it.
        state: What stage 4 moves the shape by.
    """

    fitted: FittedFace
    appearance: Appearance | None
    rendered_linear: Float[Tensor, "size size 3"]
    mask: Float[Tensor, "size size"]
    albedo_linear: Float[Tensor, "size size 3"]
    state: RaytracedState | None = None


def statistical_state(
    surface: PixelSurface,
    problem: SkinProblem,
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
