"""Transport tables of a head: what each sample of its surface sends to the camera of each basis light."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from common.ranges import Range, checked
from model.refine.raytrace.bounce import bounce_table, seen_vertices
from model.refine.raytrace.light_basis import LightBasis
from model.refine.raytrace.light_stage import LightStage, stage_tables
from model.refine.raytrace.pixel_surface import PixelSurface, ShadingPoints, points_at_vertices
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.specular import glossy_tables
from model.refine.raytrace.transport_tables import TransportTables
from model.refine.raytrace.visibility import Visibility, diffuse_table, trace_visibility

_ROUGHNESS = Range(0, 1, above=True)


@dataclass(frozen=True)
@checked(ranges={Range(16): ("directions", "bounce_directions"), _ROUGHNESS: ("roughness_levels",)})
class TransportConfig:
    """How carefully light is traced.

    Attributes:
        directions: Distant directions of which visibility is traced at each sample (default by measurement,
            `tools/bench_transport.py`).
        visibility: Whether the head throws shadows on itself; False is the ablation.
        roughness_levels: Perceptual roughness for which the GGX tables are made, ascending.
        glossy_samples: Reflected directions traced per sample and level; 0 leaves the glossy tables at zero. A light
            stage needs none: its lamps are looked at.
        bounce_directions: Directions in which other places of the head are looked for at each sample.
    """

    directions: int = 512
    visibility: bool = True
    roughness_levels: tuple[float, ...] = (0.2, 0.32, 0.45, 0.6, 0.8)
    glossy_samples: int = 32
    bounce_directions: int = 128

    def __post_init__(self) -> None:
        """Refuse settings that make no tables.

        Raises:
            ValueError: Naming the setting.
        """
        levels = self.roughness_levels
        if len(levels) < 2 or list(levels) != sorted(set(levels)):
            raise ValueError(f"roughness_levels is {levels}: expected two or more ascending numbers")


def build_tables(
    surface: PixelSurface,
    rays: RayQueries,
    light: LightBasis | LightStage,
    config: TransportConfig,
    bounce_albedo: Float[Tensor, "vertex 3"] | None = None,
    visibility: Visibility | None = None,
) -> TransportTables:
    """Trace the transport of a light.

    Args:
        surface: The samples.
        rays: The whole head.
        light: A distant basis, or a light stage.
        config: How carefully.
        bounce_albedo: Albedo per vertex, linear RGB, for light that is reflected from one place of the head to
            another; none is if None.
        visibility: What `trace_visibility` found for the same samples and distant light, to be used instead of
            tracing it again. A light stage has no use for it.

    Returns:
        The tables, on the CPU.
    """
    shadowing = rays if config.visibility else None
    if isinstance(light, LightStage):
        view = surface.view if config.glossy_samples else None
        diffuse, glossy = stage_tables(surface.points, shadowing, light, view, config.roughness_levels)
    else:
        diffuse = _distant(surface.points, shadowing, light, config, visibility)
        glossy = glossy_tables(surface, shadowing, light, config.roughness_levels, config.glossy_samples)
    bounce = None if bounce_albedo is None else _bounce(surface, rays, light, config, bounce_albedo)
    return TransportTables(diffuse, bounce, *glossy, torch.tensor(config.roughness_levels))


def _distant(
    points: ShadingPoints,
    rays: RayQueries | None,
    light: LightBasis,
    config: TransportConfig,
    visibility: Visibility | None,
) -> Float[Tensor, "sample light"]:
    if visibility is None:
        visibility = trace_visibility(points, rays, config.directions)
    return diffuse_table(points, visibility, light)


def _bounce(
    surface: PixelSurface,
    rays: RayQueries,
    light: LightBasis | LightStage,
    config: TransportConfig,
    albedo_linear: Float[Tensor, "vertex 3"],
) -> Float[Tensor, "sample light 3"]:
    """One reflection at the vertices, whose own light is traced with the bounce's directions."""
    seen = seen_vertices(surface.points, surface.geometry, rays, config.bounce_directions)
    vertices, shadowing = points_at_vertices(surface.geometry), rays if config.visibility else None
    if isinstance(light, LightStage):
        arriving, _ = stage_tables(vertices, shadowing, light)
    else:
        arriving = _distant(vertices, shadowing, light, replace(config, directions=config.bounce_directions), None)
    return bounce_table(seen, albedo_linear, arriving)


def concatenated(*tables: TransportTables) -> TransportTables:
    """Tables of several lights over the same samples as those of one light, in the order given.

    Raises:
        ValueError: If the tables have other samples or roughness levels, or only some have a bounce.
    """
    first = tables[0]
    for other in tables[1:]:
        if len(other.diffuse) != len(first.diffuse) or not torch.equal(other.roughness_levels, first.roughness_levels):
            raise ValueError("only tables of the same samples and roughness levels can be joined")
    bounces = [table.bounce for table in tables if table.bounce is not None]
    if bounces and len(bounces) < len(tables):
        raise ValueError("either all tables or none must have a bounce; make all with bounce_albedo")
    spreads = [torch.eye(table.diffuse.shape[1]) if table.spread is None else table.spread for table in tables]
    return TransportTables(
        diffuse=torch.cat([table.diffuse for table in tables], dim=1),
        bounce=torch.cat(bounces, dim=1) if bounces else None,
        specular=torch.cat([table.specular for table in tables], dim=2),
        grazing=torch.cat([table.grazing for table in tables], dim=2),
        roughness_levels=first.roughness_levels,
        spread=torch.block_diag(*spreads) if any(table.spread is not None for table in tables) else None,
    )
