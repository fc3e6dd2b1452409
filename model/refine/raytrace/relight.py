"""Final pictures of a head under any light, without a second renderer: an environment, lamps, or both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from common.ranges import AT_LEAST_ONE, checked
from common.tensor_groups import map_tensors
from model.look.appearance import Lamp
from model.refine.raytrace.bounce import seen_vertices
from model.refine.raytrace.light_basis import latlong_directions
from model.refine.raytrace.light_stage import disc_points
from model.refine.raytrace.pixel_surface import OFFSET_MM, PixelSurface, ShadingPoints, points_at_vertices
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.specular import cosines, ggx, hammersley, unblocked
from model.render.color import luminance

_PAIRS_PER_BLOCK = 1 << 19


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("directions", "lamp_samples")})
class RelightConfig:
    """How carefully a picture is lit.

    Attributes:
        directions: Shadow rays per sample of the surface towards the environment, most of them where it is bright.
        lamp_samples: Shadow rays per sample towards each lamp.
        bounce_directions: Directions in which light from other places of the head is looked for; 0 for none.
    """

    directions: int = 384
    lamp_samples: int = 24
    bounce_directions: int = 64


@dataclass(frozen=True)
class SurfaceReflectance:
    """What the samples of the surface are made of.

    Attributes:
        albedo_linear: Diffuse albedo, linear RGB.
        f0: Reflectance at normal incidence.
        roughness: Perceptual roughness.
    """

    albedo_linear: Float[Tensor, "sample 3"]
    f0: Float[Tensor, " sample"]
    roughness: Float[Tensor, " sample"]

    def part(self, which: slice) -> "SurfaceReflectance":
        """Some of the samples."""
        return map_tensors(self, lambda values: values[which])


@dataclass(frozen=True)
class _Emitters:
    """M places or directions that light comes from.

    Attributes:
        place: Points in mm, or unit vectors if `axis` is None.
        axis: Unit normals of the lamps, away from the head; None for light from infinity.
        power: Radiance times area in square mm, or times solid angle.
        patch: Radius of what the place stands for, mm or rad.
    """

    place: Float[Tensor, "ray 3"]
    axis: Float[Tensor, "ray 3"] | None
    power: Float[Tensor, "ray 3"]
    patch: Float[Tensor, " ray"]


def relight(
    surface: PixelSurface,
    rays: RayQueries,
    reflectance: SurfaceReflectance,
    environment_linear: Float[Tensor, "rows columns 3"] | None = None,
    lamps: Sequence[Lamp] = (),
    config: RelightConfig | None = None,
    vertex_albedo: Float[Tensor, "vertex 3"] | None = None,
) -> Float[Tensor, "size size 3"]:
    """Draw the head under given light, with its own shadows and one diffuse reflection.

    Args:
        surface: What the camera sees: the whole head, eyes and all.
        rays: The head.
        reflectance: Of the samples.
        environment_linear: Radiance, latitude-longitude as in `model.look.appearance`; None for darkness.
        lamps: Area lights that face the head.
        config: How carefully.
        vertex_albedo: Albedo of the whole head for light from face to face; none is reflected without.

    Returns:
        Radiance in linear RGB, the mean over each pixel's samples; 0 where `surface.coverage()` is.
    """
    config = RelightConfig() if config is None else config
    emitters = _emitters(surface, environment_linear, lamps, config)
    colour = _direct(surface.points, rays, emitters, surface.view, reflectance)
    if vertex_albedo is not None and config.bounce_directions and emitters:
        seen = seen_vertices(surface.points, surface.geometry, rays, config.bounce_directions)
        arriving = _direct(points_at_vertices(surface.geometry), rays, emitters)
        colour = colour + reflectance.albedo_linear * (seen @ (vertex_albedo.clamp(0.0, 1.0) * arriving))
    return surface.pixel_mean(colour)


def environment_samples(
    environment_linear: Float[Tensor, "rows columns 3"], count: int
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"], Float[Tensor, " ray"]]:
    """Directions drawn where the environment is bright, their radiance and the solid angle each stands for.

    Evenly spread (no noise between pixels), a fifth of them regardless of brightness. Columns are drawn within rows
    (Pharr et al., "Physically Based Rendering", 12.5).
    """
    rows, columns = environment_linear.shape[:2]
    edges = torch.linspace(0.0, math.pi, rows + 1).cos()
    solid_angle = (edges[:-1] - edges[1:])[:, None] * (2.0 * math.pi / columns)
    brightness = luminance(environment_linear).clamp(min=0.0) * solid_angle
    # Even a black environment has a density.
    density = 0.8 * brightness / brightness.sum().clamp(min=1e-12) + 0.2 * solid_angle / (4.0 * math.pi)
    density = density / density.sum()
    pattern = hammersley(count)
    by_row = density.sum(1)
    row = torch.searchsorted(by_row.cumsum(0), pattern[:, 0].contiguous()).clamp(max=rows - 1)
    within = density[row].cumsum(1) / by_row[row, None]
    column = torch.searchsorted(within, pattern[:, 1:].contiguous())[:, 0].clamp(max=columns - 1)
    stands_for = solid_angle[row, 0] / (density[row, column] * count)
    return latlong_directions(rows, columns)[row, column], environment_linear[row, column], stands_for


def _emitters(
    surface: PixelSurface,
    environment_linear: Float[Tensor, "rows columns 3"] | None,
    lamps: Sequence[Lamp],
    config: RelightConfig,
) -> list[_Emitters]:
    emitters = []
    if environment_linear is not None:
        directions, radiance, solid_angle = environment_samples(
            environment_linear.detach().float().cpu(), config.directions
        )
        power = radiance * solid_angle[:, None]
        emitters.append(_Emitters(directions, None, power, (solid_angle / math.pi).sqrt()))
    if lamps:
        count = config.lamp_samples
        positions_mm = torch.from_numpy(np.stack([lamp.position_mm for lamp in lamps])).float()
        radii_mm = torch.tensor([lamp.radius_mm for lamp in lamps], dtype=torch.float32)
        radiance = torch.from_numpy(np.stack([lamp.radiance_linear for lamp in lamps])).float()
        axes = normalize(positions_mm - surface.geometry.middle_mm, dim=-1)
        power = radiance * (math.pi / count * radii_mm**2)[:, None]
        emitters.append(
            _Emitters(
                place=disc_points(positions_mm, axes, radii_mm, count).flatten(0, 1),
                axis=axes.repeat_interleave(count, 0),
                power=power.repeat_interleave(count, 0),
                patch=(radii_mm / math.sqrt(count)).repeat_interleave(count),
            )
        )
    return emitters


def _direct(
    points: ShadingPoints,
    rays: RayQueries,
    emitters: list[_Emitters],
    view: Float[Tensor, "sample 3"] | None = None,
    reflectance: SurfaceReflectance | None = None,
) -> Float[Tensor, "sample 3"]:
    """Radiance towards the camera; without a reflectance what a white diffuse surface would send."""
    colour = torch.zeros(len(points), 3)
    for light in emitters:
        step = max(1, _PAIRS_PER_BLOCK // len(light.place))
        for start in range(0, len(points), step):
            block = slice(start, min(start + step, len(points)))
            part = points.part(block)
            directions, weight, ends_mm, patch = _arriving(part, light)
            weight = weight * unblocked(part, directions, rays, ends_mm)
            arriving = weight @ light.power / math.pi
            if reflectance is None or view is None:
                colour[block] += arriving
                continue
            glossy = _glossy(part.normal, view[block], directions, patch, reflectance.part(block))
            colour[block] += reflectance.albedo_linear[block] * arriving + (weight * glossy) @ light.power
    return colour


def _arriving(
    points: ShadingPoints, light: _Emitters
) -> tuple[Tensor, Float[Tensor, "sample ray"], Float[Tensor, "sample ray"] | None, Tensor]:
    """Directions, what a unit of power gives in irradiance, where the rays end, and the patches' angular radius."""
    if light.axis is None:
        return light.place, cosines(points.normal, light.place).clamp(min=0.0), None, light.patch
    towards = light.place[None] - points.position_mm[:, None]
    distance_mm = towards.norm(dim=-1)
    directions = towards / distance_mm[..., None]
    leaving = (directions * light.axis).sum(-1).clamp(min=0.0)
    cosine = cosines(points.normal, directions).clamp(min=0.0)
    return directions, cosine * leaving / distance_mm**2, distance_mm - OFFSET_MM, light.patch / distance_mm


def _glossy(
    normal: Float[Tensor, "sample 3"],
    view: Float[Tensor, "sample 3"],
    directions: Float[Tensor, "*sample ray 3"],
    patch: Tensor,
    reflectance: SurfaceReflectance,
) -> Float[Tensor, "sample ray"]:
    """F D V; the lobe is widened by the patch that a direction stands for, as in `light_stage.stage_tables`."""
    alpha = (reflectance.roughness[:, None] ** 4 + (0.75 * patch) ** 2).sqrt().clamp(max=1.0)
    n_v = (normal * view).sum(-1, keepdim=True)
    value, glancing = ggx(n_v, cosines(normal, directions), cosines(view, directions), alpha)
    return value * (reflectance.f0[:, None] * (1.0 - glancing) + glancing)
