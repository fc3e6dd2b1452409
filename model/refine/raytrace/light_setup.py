"""The light that is looked for: its basis, its transport to the face, what may be said of it, how it is written."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from model.look.appearance import Lamp
from model.refine.raytrace.config import LightConfig
from model.refine.raytrace.light_basis import (
    GaussianLight,
    HarmonicLight,
    LightBasis,
    environment,
    fibonacci_directions,
)
from model.refine.raytrace.light_stage import LightStage
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.table_cache import cached_tables, trace_key
from model.refine.raytrace.transport import TransportConfig, build_tables, concatenated
from model.refine.raytrace.transport_tables import TransportTables
from model.refine.raytrace.visibility import diffuse_table, trace_visibility

ENVIRONMENT_ROWS = 128
_CHECKED_DIRECTIONS = 256


@dataclass(frozen=True)
class LightSpace:
    """What is known of K basis lights beyond their transport.

    Attributes:
        nonnegative: Coefficients below 0 make no sense: lobes and lamps, not harmonics.
        radiance: Radiance of the basis in directions all around, where it may be negative; None where it cannot.
        band: Band of each harmonic; None for other lights.
    """

    nonnegative: bool
    radiance: Float[Tensor, "direction light"] | None = None
    band: Float[Tensor, " light"] | None = None


class LightSetup:
    """One kind of light, around one head."""

    def __init__(self, config: LightConfig, middle_mm: Float[Tensor, "3"]) -> None:
        """Make the basis.

        Args:
            config: Kind and size.
            middle_mm: Middle of the head, camera space: what lamps face.
        """
        self._config = config
        self._stage: LightStage | None = None
        if config.kind == "harmonics":
            self._basis: LightBasis = HarmonicLight(config.bands)
        elif config.kind == "gaussians":
            self._basis = GaussianLight(config.gaussians)
        else:
            self._stage = LightStage(middle_mm, config.lamps)
            # What the lamps' surroundings throw back at the head.
            self._basis = HarmonicLight(1)

    @property
    def space(self) -> LightSpace:
        """What is known of the basis."""
        if self._stage is not None or self._basis.nonnegative:
            return LightSpace(nonnegative=True)
        count = torch.arange(self._config.bands)
        return LightSpace(
            nonnegative=False,
            radiance=self._basis.radiance(fibonacci_directions(_CHECKED_DIRECTIONS)),
            band=torch.repeat_interleave(count, 2 * count + 1).float(),
        )

    def tables(
        self,
        surface: PixelSurface,
        rays: RayQueries,
        bounce_albedo: Float[Tensor, "vertex 3"],
        cache: Path | None = None,
    ) -> TransportTables:
        """Trace the light's transport, or read it where it was traced before.

        Args:
            surface: The samples.
            rays: The head.
            bounce_albedo: Albedo per vertex for bounced light.
            cache: Folder of tables traced before; None to trace.
        """
        config = self._config
        bouncing = bounce_albedo if config.bounce and config.visibility else None
        transport = TransportConfig(directions=config.directions, visibility=config.visibility)

        def trace() -> TransportTables:
            if self._stage is not None:
                lamps = build_tables(surface, rays, self._stage, transport, bouncing)
                return concatenated(lamps, build_tables(surface, rays, self._basis, transport, bouncing))
            if config.kind == "harmonics":
                return build_tables(surface, rays, self._basis, transport, bouncing)
            shadowing = rays if config.visibility else None
            visibility = trace_visibility(surface.points, shadowing, config.directions)
            wide = GaussianLight(config.wide_gaussians)
            tables = build_tables(surface, rays, wide, transport, bouncing, visibility)
            narrow = diffuse_table(surface.points, visibility, self._basis)
            return replace(tables, diffuse=narrow, spread=spread(wide, self._basis))

        if cache is None:
            return trace()
        key = trace_key(surface, self._stage or self._basis, transport, bouncing)
        return cached_tables(cache, f"{key}-{config.kind}-{config.wide_gaussians}", trace)

    def environment_linear(self, light: Float[Tensor, "light 3"]) -> Float[Tensor, "rows columns 3"]:
        """The distant light as a latitude-longitude picture."""
        distant = light if self._stage is None else light[self._stage.count :]
        picture = environment(self._basis, distant.cpu(), ENVIRONMENT_ROWS, 2 * ENVIRONMENT_ROWS)
        return picture.clamp(min=0.0)

    def lamps(self, light: Float[Tensor, "light 3"]) -> tuple[Lamp, ...]:
        """The area lights; none where there is no stage."""
        return () if self._stage is None else self._stage.lamps(light[: self._stage.count])


def spread(wide: GaussianLight, narrow: LightBasis) -> Float[Tensor, "wide narrow"]:
    """Each narrow lobe's light, divided among the wide lobes around it.

    Raises:
        TypeError: If the narrow lights are not lobes.
    """
    if not isinstance(narrow, GaussianLight):
        raise TypeError(f"only lobes can be spread over wider ones, not {type(narrow).__name__}")
    near = torch.exp(wide.sharpness * (wide.axes @ narrow.axes.T - 1.0))
    # Coefficients of 1 make radiance 1 in either basis, so each carries its count's share of the light.
    return near / near.sum(0, keepdim=True) * (wide.count / narrow.count)
