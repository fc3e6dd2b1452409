"""The white of the eyes tells how strong the light is, and so how dark the skin is.

A photograph shows albedo times light; of skin both are unknown. The sclera's albedo is nearly the same in all people
(of eyes in photographs, Russell et al., "Sclera color changes with age...", PLoS ONE 2014, see a few per cent), so what
the model says of it can be held against what the found light makes of it. Only its brightness: the red of its corners
and the iris make its colour a bad witness, and faces came out green (docs/log.md).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.ranges import checked
from model.face.morphable_model import MorphableModel
from model.face.regions import any_region, triangles_of
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import glossy, irradiance
from model.render.color import luminance

_WHITE = 0.32
"""Luminance of the mean albedo above which a vertex of the eyeball is sclera, not iris."""
_QUANTILE = 0.7
"""Lashes, the lids' shadow and an iris that looks elsewhere make pixels darker than sclera, nothing makes them lighter
but a highlight."""
_WET = (0.025, 0.3)
"""F0 and roughness of what covers the eye, a little rougher than tears: the light is known in wide lobes only."""
_FEWEST_SAMPLES = 12
_WHOLE_LOOK_SAMPLES = 40.0
"""Pixels of sclera that count as one whole look."""
_TONE_SD, _SCLERA_SD = 0.35, 0.3
"""Standard deviation of the log of the skin's brightness as the start has it, and of the sclera's, on a head that fits
as well as heads do."""
_FARTHEST = 1.2
"""Log beyond which what is seen is no sclera: closed eyes, sunglasses."""


@dataclass(frozen=True)
@checked("sclera.")
class ScleraConfig:
    """How far the white of the eyes is believed.

    Attributes:
        most_lighter: Greatest shift towards lighter skin. Lashes, lids and a fringe darken the eyes, which the head has
            not; nothing makes them lighter than they are.
    """

    most_lighter: float = 0.15


def sclera_faces(morphable_model: MorphableModel) -> Bool[Tensor, " face"]:
    """Triangles of the white of the eyes; none where the head has no eyes."""
    white = any_region(morphable_model, "eyes") & (luminance(morphable_model.albedo_mean) > _WHITE)
    return triangles_of(morphable_model, white).cpu()


def skin_shift(eyes: SkinProblem, light: Float[Tensor, "light 3"], config: ScleraConfig) -> float:
    """By how much the log of the skin's albedo should move, given light that was found with the skin as it is.

    What the eyes say is shrunk by how well skin and sclera are known beforehand (the mean of two normal distributions).

    Args:
        eyes: Samples of sclera.
        light: What was found with the start's skin.
        config: How far it may go.

    Returns:
        The shift; 0 where too little of the eyes is seen, or what is seen is no sclera.
    """
    sure = eyes.weight > 0.5
    if int(sure.sum()) < _FEWEST_SAMPLES:
        return 0.0
    wet = light.new_tensor(_WET).expand(len(sure), 2)
    expected = eyes.albedo_mean * irradiance(eyes.tables, light) + glossy(eyes.tables, light, wet[:, 0], wet[:, 1])
    brightness = (luminance(eyes.observed_linear).clamp(min=1e-3) / luminance(expected).clamp(min=1e-3)).log()[sure]
    level = float(torch.quantile(brightness, _QUANTILE))
    if not abs(level) < _FARTHEST:
        return 0.0
    trust = min(1.0, float(sure.sum()) / _WHOLE_LOOK_SAMPLES)
    shift = -level * trust * _TONE_SD**2 / (_TONE_SD**2 + _SCLERA_SD**2)
    return min(shift, config.most_lighter)


def shifted_coefficients(
    problem: SkinProblem, coefficients: Float[Tensor, " component"], shift: float, ridge: float = 1e-4
) -> Float[Tensor, " component"]:
    """The albedo coefficients whose skin is nearest to that of others times exp(shift).

    Args:
        problem: What is seen.
        coefficients: The others.
        shift: Log factor.
        ridge: Weight of one squared standard deviation beside the mean squared difference in linear reflectance.
    """
    change = problem.albedo_linear(coefficients) * (math.exp(shift) - 1.0)
    weight = (problem.weight / problem.weight.sum().clamp(min=1e-6)).sqrt()[:, None]
    rows = (problem.albedo_basis * weight).flatten(1).double()
    gram = rows @ rows.T + ridge * torch.eye(len(rows), dtype=torch.float64, device=rows.device)
    right = rows @ (change * weight).flatten().double()
    step = torch.cholesky_solve(right[:, None], torch.linalg.cholesky(gram))[:, 0]
    return coefficients + step.to(coefficients.dtype)
