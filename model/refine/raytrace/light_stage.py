"""A light stage: area lights at a finite distance around the head, each a disc that faces it.

Non-negative by nature and sparse when asked to be, with the hard shadow edges that a few harmonics cannot make. What
the paper of NextFace (Dib et al., ICCV 2021) calls a virtual light stage.

Unit of the coefficients: a lamp's coefficient is the radiance that its share of the sphere would need to give the same
light; all coefficients 1 is close to radiance 1 from everywhere, as with the distant bases. `LightStage.lamps` tells
the radiance of the discs themselves.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from model.look.appearance import Lamp
from model.refine.raytrace.pixel_surface import OFFSET_MM, ShadingPoints
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.specular import GlossyTables, cosines, ggx, unblocked

MIN_LAMPS = 4
_PAIRS_PER_BLOCK = 1 << 19


class LightStage:
    """N discs on a sphere around the head."""

    nonnegative = True

    def __init__(
        self,
        centre_mm: Float[Tensor, "3"],
        lamps: int = 24,
        distance_mm: float = 1000.0,
        radius_mm: float = 250.0,
        samples: int = 16,
        min_facing: float = -0.5,
    ) -> None:
        """Place the lamps.

        Args:
            centre_mm: Middle of the head, camera space (`HeadGeometry.middle_mm`); the lamps face it.
            lamps: N.
            distance_mm: From the middle of the head to each lamp.
            radius_mm: Of the discs.
            samples: Points of each disc that shadow rays are sent to.
            min_facing: Lamps stand where the cosine to the camera's side (+z) is at least this: light from straight
                behind the head is not seen on the face.

        Raises:
            ValueError: If there are too few lamps, or they do not stand clear of the head.
        """
        if lamps < MIN_LAMPS or samples < 1:
            raise ValueError(f"{lamps} lamps with {samples} samples: a light stage has {MIN_LAMPS} lamps or more")
        if radius_mm <= 0.0 or distance_mm < max(300.0, radius_mm):
            raise ValueError(f"lamps of radius {radius_mm} mm at {distance_mm} mm do not stand clear of the head")
        if not -1.0 <= min_facing < 1.0:
            raise ValueError(f"min_facing is a cosine in [-1, 1), not {min_facing}")
        index = torch.arange(lamps, dtype=torch.float64)
        facing = 1.0 - (1.0 - min_facing) * (index + 0.5) / lamps
        azimuth, across = index * (math.pi * (3.0 - math.sqrt(5.0))), (1.0 - facing**2).sqrt()
        axes = torch.stack((across * azimuth.cos(), across * azimuth.sin(), facing), dim=-1)
        self.axes = axes.float()
        self.positions_mm = centre_mm.detach().float().cpu() + distance_mm * self.axes
        self.radius_mm, self.samples = radius_mm, samples
        share = 2.0 * math.pi * (1.0 - min_facing) / lamps
        self.unit_radiance = share * distance_mm**2 / (math.pi * radius_mm**2)

    @property
    def count(self) -> int:
        """Number of lamps."""
        return len(self.axes)

    def lamps(self, light: Float[Tensor, "light 3"]) -> tuple[Lamp, ...]:
        """The lamps as they are written to files, for given coefficients (below 0 is off)."""
        radiance = (light.detach().cpu().float().clamp(min=0.0) * self.unit_radiance).numpy()
        return tuple(
            Lamp(position, self.radius_mm, colour)
            for position, colour in zip(self.positions_mm.numpy(), radiance, strict=True)
        )

    def disc_points(self) -> Float[Tensor, "light point 3"]:
        """Points of the discs that shadow rays are sent to."""
        radii_mm = torch.full((self.count,), self.radius_mm)
        return disc_points(self.positions_mm, self.axes, radii_mm, self.samples)


def disc_points(
    centres_mm: Float[Tensor, "light 3"], axes: Float[Tensor, "light 3"], radii_mm: Float[Tensor, " light"], count: int
) -> Float[Tensor, "light point 3"]:
    """Evenly spread points of discs (Vogel's spiral), each for the same area."""
    index = torch.arange(count, dtype=torch.float32)
    radius, angle = ((index + 0.5) / count).sqrt(), index * (math.pi * (3.0 - math.sqrt(5.0)))
    across = normalize(torch.linalg.cross(axes, _least_axis(axes), dim=-1), dim=-1)
    up = torch.linalg.cross(axes, across, dim=-1)
    flat = (radius * angle.cos())[:, None] * across[:, None] + (radius * angle.sin())[:, None] * up[:, None]
    return centres_mm[:, None] + radii_mm[:, None, None] * flat


def stage_tables(
    points: ShadingPoints,
    rays: RayQueries | None,
    stage: LightStage,
    view: Float[Tensor, "sample 3"] | None = None,
    roughness_levels: tuple[float, ...] = (),
) -> tuple[Float[Tensor, "sample light"], GlossyTables]:
    """Send shadow rays from each point to each lamp.

    A disc point stands for a patch of the disc: the GGX lobe is widened by the angle under which the patch is seen
    (three quarters of its radius: looked at), so that a glossy surface mirrors a disc and not a handful of points.

    Args:
        points: The points.
        rays: The head; None if nothing throws a shadow.
        stage: The lamps.
        view: Unit vectors towards the camera; the glossy tables stay zero without.
        roughness_levels: Perceptual roughness.

    Returns:
        The diffuse table and the glossy ones, as in `TransportTables`.
    """
    shape = (len(points), len(roughness_levels), stage.count)
    diffuse, glossy = torch.empty(len(points), stage.count), GlossyTables(torch.zeros(shape), torch.zeros(shape))
    targets_mm = stage.disc_points().flatten(0, 1)
    patch = 0.75 * stage.radius_mm / math.sqrt(stage.samples)

    def per_lamp(values: Float[Tensor, "sample ray"]) -> Float[Tensor, "sample light"]:
        return values.unflatten(1, (stage.count, stage.samples)).sum(2)

    step = max(1, _PAIRS_PER_BLOCK // len(targets_mm))
    for start in range(0, len(points), step):
        block = slice(start, min(start + step, len(points)))
        part = points.part(block)
        directions, distance_mm, weight = _arriving(part, stage, targets_mm)
        # Short of the disc by the offset, which the ray has gained already.
        weight = weight * unblocked(part, directions, rays, distance_mm - OFFSET_MM)
        diffuse[block] = per_lamp(weight) / math.pi
        if view is None:
            continue
        seen = view[block]
        n_v, n_w = (part.normal * seen).sum(-1, keepdim=True), cosines(part.normal, directions)
        v_w = cosines(seen, directions)
        for level, roughness in enumerate(roughness_levels):
            alpha = (roughness**4 + (patch / distance_mm) ** 2).sqrt()
            value, fresnel = ggx(n_v, n_w, v_w, alpha)
            value = weight * value
            glossy.specular[block, level] = per_lamp(value * (1.0 - fresnel))
            glossy.grazing[block, level] = per_lamp(value * fresnel)
    return diffuse, glossy


def _arriving(
    points: ShadingPoints, stage: LightStage, targets_mm: Float[Tensor, "ray 3"]
) -> tuple[Float[Tensor, "sample ray 3"], Float[Tensor, "sample ray"], Float[Tensor, "sample ray"]]:
    """Directions to the disc points, distances, and the irradiance each would give under coefficient 1, unblocked."""
    towards = targets_mm[None] - points.position_mm[:, None]
    distance_mm = towards.norm(dim=-1)
    directions = towards / distance_mm[..., None]
    # The axes point from the head to the lamps, whose light leaves to the other side.
    leaving = (directions * stage.axes.repeat_interleave(stage.samples, 0)).sum(-1).clamp(min=0.0)
    area = math.pi * stage.radius_mm**2 / stage.samples
    cosine = cosines(points.normal, directions).clamp(min=0.0)
    return directions, distance_mm, stage.unit_radiance * area * leaving * cosine / distance_mm**2


def _least_axis(directions: Float[Tensor, "direction 3"]) -> Float[Tensor, "direction 3"]:
    """For each direction the coordinate axis that it is most nearly perpendicular to."""
    return torch.nn.functional.one_hot(directions.abs().argmin(-1), 3).to(directions.dtype)
