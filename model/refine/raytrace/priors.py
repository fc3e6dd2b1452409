"""What is believed of light and skin before the photograph is looked at.

Each function returns one term without its weight (`config.RaytraceWeights`).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

_ALBEDO_SD = 0.05
"""Change of the albedo, linear reflectance, that costs as much as all coefficients moved by one sd."""
_CHROMA = 10.0
"""Weight of the texture's chroma over that of its brightness."""
_TEXELS_PER_CELL = 8
_SHORT = 1e-4
"""Steps of the log albedo below this cost less than their share, so that the absolute value has a slope at 0."""


def moved_albedo(basis: Float[Tensor, "component sample 3"], change: Float[Tensor, " component"]) -> Float[Tensor, ""]:
    """How far coefficients are from where they started: mean square in sd, and of the albedo over 0.05.

    The second over all samples, hidden ones too: what the photograph does not show must stay as it was.
    """
    albedo = torch.einsum("a,apc->pc", change, basis)
    return change.square().mean() + (albedo / _ALBEDO_SD).square().mean()


def white_light(strength: Float[Tensor, "3"]) -> Float[Tensor, ""]:
    """Squared chroma of the light as a whole over its squared strength.

    Without it the tint of the skin is the light's as well as the skin's own.

    Args:
        strength: Irradiance that the light brings to the head, per channel.
    """
    mean = strength.mean()
    return ((strength - mean) / mean.clamp(min=1e-6)).square().sum()


def lamp_chroma(light: Float[Tensor, "light 3"]) -> Float[Tensor, ""]:
    """Squared distance of every light from the common colour, over the squared strength of all.

    Lights of one place differ in colour far less than in strength. Without this, skin's red is explained by red lamps.
    """
    common = light.sum(0) / light.sum().clamp(min=1e-6)
    grey = light.sum(1, keepdim=True) * common
    return len(light) * (light - grey).square().sum() / light.sum().square().clamp(min=1e-12)


def sparsity(light: Float[Tensor, "light 3"]) -> Float[Tensor, ""]:
    """How evenly the light is spread over its lights, 0 to 1: squared sum of square roots over count times sum.

    A few lamps and a faint surrounding are more likely than many lamps of middling strength.
    """
    strength = light.mean(1).clamp(min=0.0)
    # The square root is infinitely steep at 0: a light that is out would never come on again.
    roots = (strength + 1e-4 * strength.detach().mean()).sqrt()
    return roots.sum().square() / (len(light) * strength.sum().clamp(min=1e-6))


def negative_radiance(radiance: Float[Tensor, "direction 3"]) -> Float[Tensor, ""]:
    """Mean squared negative radiance over the squared mean: an environment can only shine."""
    return radiance.clamp(max=0.0).square().mean() / radiance.mean().square().clamp(min=1e-8)


def high_bands(light: Float[Tensor, "light 3"], band: Float[Tensor, " light"]) -> Float[Tensor, ""]:
    """Squared harmonics, each times the fourth power of its band, over the squared mean radiance."""
    return (band[:, None].pow(4) * light.square()).sum() / light[0].square().sum().clamp(min=1e-8)


def smoothness(
    log_albedo: Float[Tensor, "texture texture channel"], seen: Bool[Tensor, "texture texture"]
) -> Float[Tensor, ""]:
    """Mean absolute step between neighbouring texels of the face (total variation: Rudin et al., Physica D 1992)."""
    down = _shrunk(log_albedo[1:] - log_albedo[:-1])
    across = _shrunk(log_albedo[:, 1:] - log_albedo[:, :-1])
    return _mean(down, seen[1:] & seen[:-1]) + _mean(across, seen[:, 1:] & seen[:, :-1])


def symmetry(
    log_albedo: Float[Tensor, "texture texture channel"], seen: Bool[Tensor, "texture texture"]
) -> Float[Tensor, ""]:
    """Mean absolute difference from the mirror image: shadows are on one side, skin is on both (NextFace's prior).

    Only where both sides are seen.
    """
    return _mean(_shrunk(log_albedo - log_albedo.flip(1)), seen & seen.flip(1))


def coarse(
    log_albedo: Float[Tensor, "texture texture channel"], seen: Bool[Tensor, "texture texture"]
) -> Float[Tensor, ""]:
    """Mean square of the coarse part: what is as large as a cheek the statistics know, but not shadows."""
    cells = max(1, len(log_albedo) // _TEXELS_PER_CELL)
    known = seen.to(log_albedo.dtype)[..., None]
    pooled = adaptive_avg_pool2d(torch.cat((log_albedo * known, known), dim=-1).permute(2, 0, 1)[None], cells)[0]
    share = pooled[-1]
    means = pooled[:-1] / share.clamp(min=1e-6)
    return (means.square().mean(0) * share).sum() / share.sum().clamp(min=1e-6)


def own_size(
    log_albedo: Float[Tensor, "texture texture channel"], seen: Bool[Tensor, "texture texture"]
) -> Float[Tensor, ""]:
    """Mean square of the texture, its chroma counted more: in dark places a photograph's colour is mostly noise."""
    chroma = log_albedo - log_albedo.mean(-1, keepdim=True)
    return _mean(log_albedo.square() + _CHROMA * chroma.square(), seen)


def _mean(values: Float[Tensor, "row column channel"], where: Bool[Tensor, "row column"]) -> Float[Tensor, ""]:
    # A mask times a sum: indexing with a mask costs ten times as much, and an empty one has no mean.
    return (values.mean(-1) * where).sum() / where.sum().clamp(min=1)


def _shrunk(values: Tensor) -> Tensor:
    return (values.square() + _SHORT**2).sqrt() - _SHORT
