"""Lights for the benchmark: none of them can be made by the lights that the fit is made of."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from model.look.appearance import Lamp
from model.refine.raytrace.light_basis import latlong_directions

ROWS, COLUMNS = 32, 64


@dataclass(frozen=True)
class SceneLight:
    """Light in camera space.

    Attributes:
        environment_linear: Latitude-longitude radiance, `model.look.appearance`.
        lamps: Small discs that throw hard shadows.
    """

    environment_linear: Float[np.ndarray, "rows columns 3"]
    lamps: tuple[Lamp, ...]

    def scaled(self, gain: float) -> "SceneLight":
        """The same light, brighter."""
        lamps = tuple(
            Lamp(lamp.position_mm, lamp.radius_mm, (gain * lamp.radiance_linear).astype(np.float32))
            for lamp in self.lamps
        )
        return SceneLight((gain * self.environment_linear).astype(np.float32), lamps)


def smooth_light(random: np.random.Generator) -> SceneLight:
    """Windows and sky: a few broad areas over a dim room."""
    directions = latlong_directions(ROWS, COLUMNS).numpy()
    radiance = 0.25 * _tint(random, 0.1) * (1.0 + 0.5 * directions[..., 1:2])
    for number in range(int(random.integers(3, 6))):
        # The first stands on the camera's side, so that there is a lit half.
        axis = _aside(random, random.choice([-1.0, 1.0])) if number == 0 else _anywhere(random)
        sharpness = random.uniform(2.0, 14.0)
        strength = (2.2 if number == 0 else random.uniform(0.3, 1.2)) * sharpness**0.5
        radiance = radiance + strength * _tint(random, 0.12) * np.exp(sharpness * (directions @ axis - 1.0))[..., None]
    return SceneLight(radiance.astype(np.float32), ())


def hard_light(
    random: np.random.Generator,
    head_mm: Float[np.ndarray, "3"],
    rotation: Float[np.ndarray, "3 3"],
    lamps: int,
) -> SceneLight:
    """Small lamps in a dim room, the first so that the nose throws its shadow on the cheek that the camera sees.

    Args:
        random: Source of everything random.
        head_mm: Middle of the head, camera space.
        rotation: Of the head.
        lamps: How many.
    """
    room = smooth_light(random).environment_linear
    room = room / room.mean()
    discs = []
    for number in range(lamps):
        # The face's own side that it turns towards: beyond the nose as the camera sees it.
        side = 1.0 if rotation[0, 2] > 0.0 else -1.0
        axis = rotation @ (
            _aside(random, side, (36.0, 56.0), (24.0, 46.0)) if number == 0 else _aside(random, side, (62.0, 84.0))
        )
        distance_mm, radius_mm = random.uniform(800.0, 1600.0), random.uniform(15.0, 60.0)
        # Radiance of reflected light per albedo, at normal incidence.
        strength = 1.0 if number == 0 else random.uniform(0.2, 0.4)
        radiance = strength * distance_mm**2 / radius_mm**2 * _tint(random, 0.1)
        place_mm = head_mm + distance_mm * axis
        discs.append(Lamp(place_mm.astype(np.float32), float(radius_mm), radiance.astype(np.float32)))
    return SceneLight((random.uniform(0.08, 0.18) * room).astype(np.float32), tuple(discs))


def _aside(
    random: np.random.Generator,
    side: float,
    azimuth_degrees: tuple[float, float] = (20.0, 70.0),
    elevation_degrees: tuple[float, float] = (10.0, 40.0),
) -> np.ndarray:
    """A direction from the head to the half-space before it, to one side and above."""
    azimuth = side * math.radians(random.uniform(*azimuth_degrees))
    elevation = math.radians(random.uniform(*elevation_degrees))
    return np.array(
        [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
    )


def _anywhere(random: np.random.Generator) -> np.ndarray:
    axis = random.standard_normal(3)
    return axis / np.linalg.norm(axis)


def _tint(random: np.random.Generator, deviation: float) -> np.ndarray:
    """A colour of luminance about 1 between warm and cold."""
    warm = random.normal(0.0, deviation)
    tint = np.exp(np.array([warm, random.normal(0.0, 0.2 * deviation), -warm]))
    return tint / torch.tensor(tint).mean().item()
