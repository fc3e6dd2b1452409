"""Distant lighting in spherical harmonics of three bands.

Nine numbers per colour light a convex diffuse surface under any distant light to within a few per cent, 9 % of a single
lamp's strength at the worst normal (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment
Maps", SIGGRAPH 2001). With L_lm the coefficients
of the incoming radiance in the real orthonormal harmonics Y_lm, the irradiance is `E(n) = sum A_l L_lm Y_lm(n)` with
A_0 = pi, A_1 = 2 pi / 3, A_2 = pi / 4, and the radiance that leaves is `albedo * E(n) / pi`.

Convention
----------
* `shading(n) = E(n) / pi = sum_k lighting[k] * H_k(n)` with H_k = (A_l / pi) Y_lm / Y_00, hence H_0 = 1 and
  `lighting[k] = Y_00 * L_lm`, Y_00 = 1 / (2 sqrt(pi)). Light of radiance 1 from everywhere is lighting = (1, 0, ..., 0)
  and gives shading 1: the neutral lighting.
* Normals n = (x, y, z) are unit vectors in camera space (+x right, +y up, +z towards the camera).
* Order and constants of H_k:

  | k | harmonic | H_k                       |
  |---|----------|---------------------------|
  | 0 | Y_0,0    | 1                         |
  | 1 | Y_1,-1   | 2/3 sqrt(3) y             |
  | 2 | Y_1,0    | 2/3 sqrt(3) z             |
  | 3 | Y_1,1    | 2/3 sqrt(3) x             |
  | 4 | Y_2,-2   | 1/4 sqrt(15) x y          |
  | 5 | Y_2,-1   | 1/4 sqrt(15) y z          |
  | 6 | Y_2,0    | 1/8 sqrt(5) (3 z^2 - 1)   |
  | 7 | Y_2,1    | 1/4 sqrt(15) x z          |
  | 8 | Y_2,2    | 1/8 sqrt(15) (x^2 - y^2)  |

Worked number: a distant light of strength 1 along +z (clamped cosine) shades the normal (0, 0, 1) with
1/4 + 1/2 + 5/16 = 17/16 instead of 1: the error of three bands.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from model.parameters import LIGHTING_COEFFICIENTS

_BAND_1 = 2.0 / 3.0 * math.sqrt(3.0)
_BAND_2 = 0.25 * math.sqrt(15.0)
_BAND_2_ZONAL = 0.125 * math.sqrt(5.0)

_LAMBERT_CONVOLUTION = (1.0,) + (2.0 / 3.0,) * 3 + (0.25,) * 5
"""A_l / pi of each of the nine functions."""


def spherical_harmonics(normals: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 9"]:
    """The nine functions H_k of the convention above at unit normals."""
    x, y, z = normals.unbind(-1)
    return torch.stack(
        (
            torch.ones_like(x),
            _BAND_1 * y,
            _BAND_1 * z,
            _BAND_1 * x,
            _BAND_2 * x * y,
            _BAND_2 * y * z,
            _BAND_2_ZONAL * (3.0 * z * z - 1.0),
            _BAND_2 * x * z,
            0.5 * _BAND_2 * (x * x - y * y),
        ),
        dim=-1,
    )


def shade(
    normals: Float[Tensor, "batch point 3"], lighting: Float[Tensor, "batch 9 3"]
) -> Float[Tensor, "batch point 3"]:
    """Shading of points: what the albedo is multiplied with. May be negative under strong lighting.

    Args:
        normals: Unit normals in camera space.
        lighting: Coefficients per colour channel.

    Returns:
        Linear RGB, 1 everywhere under neutral lighting.
    """
    return spherical_harmonics(normals) @ lighting


def neutral_lighting(batch: int, device: torch.device | str = "cpu") -> Float[Tensor, "batch 9 3"]:
    """White light of radiance 1 from everywhere: shading is 1 for every normal."""
    lighting = torch.zeros(batch, LIGHTING_COEFFICIENTS, 3, device=device)
    lighting[:, 0] = 1.0
    return lighting


def directional_lighting(
    directions: Float[Tensor, "batch 3"], strength: Float[Tensor, "batch 3"]
) -> Float[Tensor, "batch 9 3"]:
    """Three bands of a distant light: shading is close to `strength * max(0, n . direction)`.

    Args:
        directions: Unit vectors from the surface towards the light, camera space.
        strength: Linear RGB; the shading of a surface that faces the light. Several lights add.

    Returns:
        Lighting coefficients.
    """
    # The light's radiance is pi * strength * delta(direction), so lighting[k] = Y_00 * pi * strength * Y_lm(direction).
    # The plain harmonic is Y_lm = Y_00 * H_k / (A_l / pi), and Y_00^2 * pi = 1 / 4.
    convolution = directions.new_tensor(_LAMBERT_CONVOLUTION)
    harmonics = spherical_harmonics(directions) / convolution
    return 0.25 * harmonics[:, :, None] * strength[:, None, :]
