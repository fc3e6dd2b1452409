"""Light to show a head in: three procedural environments and a lamp that goes round.

No data files: each is a formula of the direction, as a latitude-longitude picture of radiance in camera space
(`model.look.appearance`), scaled so that a white card sends radiance 1, in the mean of one that faces the camera
and one that faces the brightest light.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from model.look.appearance import Lamp
from model.refine.raytrace.light_basis import fibonacci_directions, latlong_directions

_ROWS = 64


def studio() -> Float[Tensor, "rows columns 3"]:
    """Soft boxes: a large key light above to the right, a weak fill to the left, a rim from behind."""
    return _environment(
        lambda directions: (
            _glow(directions, (0.7, 0.6, 0.6), 25.0, (9.0, 8.7, 8.2))
            + _glow(directions, (-0.9, 0.1, 0.5), 35.0, (1.6, 1.7, 1.9))
            + _glow(directions, (-0.6, 0.5, -0.8), 18.0, (6.0, 6.0, 6.2))
            + _shade(directions, (0.25, 0.25, 0.27), (0.12, 0.12, 0.12))
        )
    )


def window() -> Float[Tensor, "rows columns 3"]:
    """A dim room with one tall window to the left: half of the face in shadow."""

    def radiance(directions: Tensor) -> Tensor:
        x, y, z = directions.unbind(-1)
        # The pane lies in the plane x = -1: where the ray through the middle of the room meets it.
        across, up = z / (-x).clamp(min=1e-6), y / (-x).clamp(min=1e-6)
        edge = 0.06
        pane = torch.sigmoid((0.75 - (across - 0.35).abs()) / edge) * torch.sigmoid((0.8 - (up - 0.35).abs()) / edge)
        sky = torch.tensor([7.0, 8.0, 9.5])
        return (pane * (x < -0.05))[..., None] * sky + _shade(directions, (0.30, 0.27, 0.23), (0.14, 0.11, 0.09))

    return _environment(radiance)


def sunset() -> Float[Tensor, "rows columns 3"]:
    """Outdoors: a low warm sun to the right, a blue sky above, dark ground."""
    return _environment(
        lambda directions: (
            _glow(directions, (0.85, 0.3, 0.6), 4.0, (420.0, 230.0, 95.0))
            + _glow(directions, (0.85, 0.2, 0.6), 40.0, (1.6, 0.9, 0.45))
            + _shade(directions, (0.35, 0.5, 0.85), (0.12, 0.09, 0.07))
        )
    )


ENVIRONMENTS: dict[str, Callable[[], Float[Tensor, "rows columns 3"]]] = {
    "studio": studio,
    "window": window,
    "sunset": sunset,
}
"""The three, by name."""

AMBIENT_OF_TURNING_LIGHT = 0.08
"""Radiance from everywhere that goes well with `turning_light`: shadows that are not black."""


def turning_light(
    step: int, steps: int, middle_mm: Float[Tensor, "3"], distance_mm: float = 900.0, radius_mm: float = 80.0
) -> Lamp:
    """One small lamp on its way round the face, from the picture's left over the front to its right.

    Args:
        step: Which place, 0 to `steps` - 1.
        steps: Number of places.
        middle_mm: Middle of the head (`HeadGeometry.middle_mm`).
        distance_mm: From it to the lamp.
        radius_mm: Of the lamp.

    Raises:
        ValueError: If there is no such step.
    """
    if not 0 <= step < steps:
        raise ValueError(f"step {step} of {steps} steps")
    azimuth = math.radians(-80.0 + 160.0 * (step / (steps - 1) if steps > 1 else 0.5))
    elevation = math.radians(25.0)
    direction = torch.tensor(
        [math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth)]
    )
    # A white card that faces the lamp sends radiance 1.
    radiance = (distance_mm / radius_mm) ** 2
    position_mm = (middle_mm.detach().cpu().float() + distance_mm * direction).numpy()
    return Lamp(position_mm, radius_mm, np.full(3, radiance, np.float32))


def _environment(radiance: Callable[[Tensor], Tensor]) -> Float[Tensor, "rows columns 3"]:
    """The picture, scaled to white cards as the module says."""
    directions = latlong_directions(_ROWS, 2 * _ROWS)
    picture = radiance(directions)
    solid_angle = directions[..., 1:2].square().neg().add(1.0).sqrt() * (math.pi / _ROWS) ** 2
    brightness = (picture.mean(-1, keepdim=True) * solid_angle).flatten()
    faces_of_cards = torch.cat((torch.tensor([[0.0, 0.0, 1.0]]), fibonacci_directions(200)))
    cards = (faces_of_cards @ directions.flatten(0, 1).T).clamp(min=0.0) @ brightness / math.pi
    return picture / (0.5 * (cards[0] + cards.max()))


def _glow(
    directions: Float[Tensor, "rows columns 3"],
    towards: tuple[float, float, float],
    half_width_degrees: float,
    colour: tuple[float, float, float],
) -> Float[Tensor, "rows columns 3"]:
    axis = normalize(torch.tensor(towards), dim=0)
    sharpness = math.log(2.0) / (1.0 - math.cos(math.radians(half_width_degrees)))
    return torch.exp(sharpness * (directions @ axis - 1.0))[..., None] * torch.tensor(colour)


def _shade(
    directions: Float[Tensor, "rows columns 3"], above: tuple[float, float, float], below: tuple[float, float, float]
) -> Float[Tensor, "rows columns 3"]:
    """From one colour below to another above, through the horizon."""
    share = torch.sigmoid(6.0 * directions[..., 1:2])
    return share * torch.tensor(above) + (1.0 - share) * torch.tensor(below)
