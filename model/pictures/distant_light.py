"""Light from far away as a few directions: a lamp, or an environment gathered into lobes."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from model.refine.raytrace.light_basis import fibonacci_directions, latlong_directions
from model.render.color import REC709_LUMINANCE

LOBES = 48
"""Directions that an environment is gathered into."""

_LAMP, _ROOM, _ROOM_SLOPE = 1.0, 0.2, 0.4
_ROOM_LOBES = 14
_LAMP_RADIUS_DEGREES, _LAMP_POINTS = 4.0, 4


@dataclass(frozen=True)
class DistantLight:
    """Directions and what arrives from them.

    Attributes:
        directions: Unit vectors towards the light, camera space.
        strength: Linear RGB that a white, matte surface facing each direction sends back by its light alone.
        lobes: Whether each stands for a wide part of the sky, so that its highlight is wide, too.
    """

    directions: Float[np.ndarray, "light 3"]
    strength: Float[np.ndarray, "light 3"]
    lobes: bool

    def turned(self, degrees: float) -> "DistantLight":
        """The light turned about the vertical axis, what is in front towards the picture's right."""
        angle = math.radians(degrees)
        turn = np.array(
            [[math.cos(angle), 0.0, math.sin(angle)], [0.0, 1.0, 0.0], [-math.sin(angle), 0.0, math.cos(angle)]]
        )
        return replace(self, directions=(self.directions @ turn.T).astype(np.float32))


def lamp_light(azimuth_degrees: float, elevation_degrees: float) -> DistantLight:
    """A white lamp in a dim room.

    Args:
        azimuth_degrees: 0 beside the camera, 90 at the picture's right, 180 behind the head.
        elevation_degrees: 90 above.
    """
    azimuth, elevation = math.radians(azimuth_degrees), math.radians(elevation_degrees)
    towards = np.array(
        [math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth)]
    )
    aside = np.cross(towards, [1.0, 0.0, 0.0] if abs(towards[0]) < 0.8 else [0.0, 1.0, 0.0])
    aside /= np.linalg.norm(aside)
    upwards = np.cross(aside, towards)
    # A lamp as large as a soft box: the edges of its shadows are soft.
    turns = 2.0 * np.pi * np.arange(_LAMP_POINTS) / _LAMP_POINTS
    radius = math.tan(math.radians(_LAMP_RADIUS_DEGREES))
    around = towards + radius * (np.cos(turns)[:, None] * aside + np.sin(turns)[:, None] * upwards)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    room = fibonacci_directions(_ROOM_LOBES).numpy()
    dim = _ROOM * (1.0 + _ROOM_SLOPE * room[:, 1:2]) * 4.0 / _ROOM_LOBES
    strength = np.concatenate((np.full((_LAMP_POINTS, 3), _LAMP / _LAMP_POINTS), np.repeat(dim, 3, axis=1)))
    return DistantLight(np.concatenate((around, room)).astype(np.float32), strength.astype(np.float32), lobes=False)


def environment_light(radiance_linear: Float[np.ndarray, "rows columns 3"], stops: float = 0.0) -> DistantLight:
    """An environment, exposed as a camera would.

    A white card that faces the camera, and one that faces the brightest light, send back 1 in their mean.

    Args:
        radiance_linear: Latitude-longitude in camera space, see `model.look.appearance`; of any scale.
        stops: How much brighter than that.

    Raises:
        ValueError: If it is all dark.
    """
    rows, columns = radiance_linear.shape[:2]
    directions = latlong_directions(rows, columns).reshape(-1, 3).numpy()
    height = np.cos(np.pi * (np.arange(rows) + 0.5) / rows)
    sine = np.sqrt(np.maximum(1.0 - height**2, 0.0))
    solid_angle = np.repeat(sine * (np.pi / rows) * (2.0 * np.pi / columns), columns)
    arriving = np.maximum(radiance_linear.reshape(-1, 3), 0.0).astype(np.float64) * solid_angle[:, None] / np.pi
    nearest = (torch.from_numpy(directions) @ fibonacci_directions(LOBES).to(torch.float32).T).argmax(1).numpy()
    strength = np.stack([np.bincount(nearest, arriving[:, channel], LOBES) for channel in range(3)], axis=1)
    bright = arriving @ np.array(REC709_LUMINANCE)
    # Each lobe where its light is: a sun stays where it was.
    middles = np.stack(
        [np.bincount(nearest, (bright + 1e-12) * directions[:, axis], LOBES) for axis in range(3)], axis=1
    )
    middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-12)
    level = strength @ np.array(REC709_LUMINANCE)
    to_camera = (level * middles[:, 2].clip(0.0)).sum()
    to_brightest = (level * (middles @ middles[level.argmax()]).clip(0.0)).sum()
    if not to_camera + to_brightest > 0.0:
        raise ValueError("the environment is dark all over")
    scale = 2.0**stops * 2.0 / (to_camera + to_brightest)
    return DistantLight(middles.astype(np.float32), (scale * strength).astype(np.float32), lobes=True)
