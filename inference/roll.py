"""Parameters of a face in a turned photograph, told in the photograph itself."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.geometry.rotation import rotation_from_euler
from model.parameters import FaceParameters

# Pairs of harmonics of `model.render.lighting` that a turn about z mixes: those of cos and sin of an angle, and of
# twice the angle. The others, 1, z and the zonal one, stay.
_ONCE = ((3, 1), (7, 5))
_TWICE = (8, 4)


def rolled(parameters: FaceParameters, roll: Float[Tensor, " batch"]) -> FaceParameters:
    """The parameters of faces after each camera was turned clockwise about its axis, so that they lean the other way.

    Args:
        parameters: A batch.
        roll: Radians by which each face turns counter-clockwise in its picture; 0 leaves it exactly as it is.
    """
    if not roll.any():
        return parameters
    turn = rotation_from_euler(torch.stack((torch.zeros_like(roll), torch.zeros_like(roll), roll), dim=-1))
    cosine, sine = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
    old, lighting = parameters.lighting, parameters.lighting.clone()
    for first, second in _ONCE:
        lighting[:, first] = cosine * old[:, first] - sine * old[:, second]
        lighting[:, second] = sine * old[:, first] + cosine * old[:, second]
    first, second = _TWICE
    cosine, sine = torch.cos(2.0 * roll)[:, None], torch.sin(2.0 * roll)[:, None]
    lighting[:, first] = cosine * old[:, first] - sine * old[:, second]
    lighting[:, second] = sine * old[:, first] + cosine * old[:, second]
    upright = (roll == 0.0)[:, None]
    return replace(
        parameters,
        rotation=torch.where(upright[..., None], parameters.rotation, turn @ parameters.rotation),
        translation_mm=torch.where(
            upright, parameters.translation_mm, (turn @ parameters.translation_mm[..., None])[..., 0]
        ),
        lighting=torch.where(upright[..., None], old, lighting),
    )
