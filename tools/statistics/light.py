"""Separate light from albedo in one photograph: spherical harmonics and albedo coefficients found together.

Observed colour = albedo * shading: `(mean + c . basis) * (H . L)` per channel. How bright a face looks says nothing by
itself about whose it is, the skin's or the light's, so the priors decide, and they are stated:

* albedo coefficients c ~ N(0, 1);
* the light is `level * (shape + deviation)`: `shape` is the mean light of all photographs (from above and in front),
  re-estimated at every round, so that the average light is not baked into the mean albedo;
* the deviation's ambient part varies by `ambient_sd`; that is the room left to the camera's exposure, while the rest of
  the faces' spread of brightness goes to the albedo. `level` follows the photograph's own white level by the power
  `exposure_power` (an underexposed picture is dark everywhere, a dark face in a well exposed picture is not);
* first- and second-band terms vary by `first_band_sd` and `second_band_sd`, in common for the three colours;
* each colour of each term varies by `chroma_sd` besides: lights are nearly white.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tools.statistics.weighted_pca import LinearModel

_DARK = 0.02
"""Linear value under which relative noise is no longer believed."""


@dataclass(frozen=True)
class LightPrior:
    """See the module's text.

    Attributes:
        ambient_sd: Relative spread of the light's level that exposure does not explain.
        exposure_power: How far the level follows the photograph's white level.
        first_band_sd: Spread of the three linear terms.
        second_band_sd: Spread of the five quadratic terms.
        chroma_sd: Spread of each colour about the common value, ambient term.
        chroma_directional_sd: The same for the other terms.
    """

    ambient_sd: float = 0.4
    exposure_power: float = 0.5
    first_band_sd: float = 0.22
    second_band_sd: float = 0.10
    chroma_sd: float = 0.15
    chroma_directional_sd: float = 0.025

    def precision(self) -> Float[Tensor, "27 27"]:
        """Inverse covariance of the deviations, flattened harmonic by harmonic, colour fastest."""
        common = torch.tensor([self.ambient_sd] + [self.first_band_sd] * 3 + [self.second_band_sd] * 5)
        chroma = torch.tensor([self.chroma_sd] + [self.chroma_directional_sd] * 8)
        blocks = [c**2 * torch.ones(3, 3) + k**2 * torch.eye(3) for c, k in zip(common, chroma, strict=True)]
        return torch.linalg.inv(torch.block_diag(*blocks))


@dataclass(frozen=True)
class Separation:
    """Light and albedo of N photographs.

    Attributes:
        lighting: Spherical-harmonic coefficients per colour.
        means: Albedo coefficients.
        covariances: Their posterior covariances.
    """

    lighting: Float[Tensor, "photo 9 3"]
    means: Float[Tensor, "photo component"]
    covariances: Float[Tensor, "photo component component"]


def separate(
    model: LinearModel,
    start: Separation,
    color_linear: Float[Tensor, "photo point 3"],
    trust: Float[Tensor, "photo point"],
    harmonics: Float[Tensor, "photo point 9"],
    level: Float[Tensor, " photo"],
    shape: Float[Tensor, "9 3"],
    prior: LightPrior,
    noise: float,
    steps: int = 2,
) -> Separation:
    """Gauss-Newton steps in light and albedo together.

    Args:
        model: Albedo at the points.
        start: Where to start from.
        color_linear: Observed colours.
        trust: Weight of each point.
        harmonics: The nine functions at the points' normals.
        level: Expected light level of each photograph.
        shape: Mean light at level 1.
        prior: Spread of the light.
        noise: Relative noise of a colour of weight 1.
        steps: Gauss-Newton steps.

    Returns:
        The new estimate.
    """
    lighting, means = start.lighting, start.means
    count, size = len(means), len(model.basis)
    light_precision = prior.precision()[None] / level[:, None, None].square()
    expected = level[:, None, None] * shape
    covariance = start.covariances
    for _ in range(steps):
        albedo = model.predict(means)
        shading = harmonics @ lighting
        residual = color_linear - albedo * shading
        spread = noise * ((albedo * shading).mean(-1).clamp(min=0.0) + _DARK)
        weight = trust / spread.square()
        jacobian = torch.zeros(*color_linear.shape, 27 + size)
        for channel in range(3):
            jacobian[:, :, channel, channel:27:3] = albedo[..., channel, None] * harmonics
        jacobian[..., 27:] = shading[..., None] * model.basis.permute(1, 2, 0)
        weighted = (jacobian * weight[..., None, None]).flatten(1, 2)
        hessian = weighted.transpose(1, 2) @ jacobian.flatten(1, 2)
        gradient = (weighted * residual.flatten(1)[..., None]).sum(1)
        hessian[:, :27, :27] += light_precision
        hessian[:, 27:, 27:] += torch.eye(size)
        pull = (light_precision @ (expected - lighting).flatten(1)[..., None])[..., 0]
        gradient = gradient + torch.cat([pull, -means], dim=1)
        inverse = torch.linalg.inv(hessian)
        step = (inverse @ gradient[..., None])[..., 0]
        lighting = lighting + step[:, :27].unflatten(1, (9, 3))
        means = (means + step[:, 27:]).clamp(-5.0, 5.0)
        covariance = inverse[:, 27:, 27:]
    return Separation(lighting, means, covariance.reshape(count, size, size))
