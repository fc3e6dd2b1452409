"""The light that explains a photograph of a known head best: linear, hence solved and not searched."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.occlusion import unoccluded
from model.losses.photometric import residual_srgb
from model.refine.raster_levels import Level, View
from model.render.color import luminance, srgb_to_linear
from model.render.lighting import neutral_lighting

_ROUNDS = 5
_LEAST_PIXELS = 36
_RIDGE = (0.0,) + (2e-3,) * 3 + (1e-2,) * 5
"""Cost of each harmonic, over that of the compared pixels: faces show few normals, and say little of the rest."""

_SATURATED = 0.98
"""sRGB value from which on a pixel has lost its brightness."""


@torch.no_grad()
def solve_light(view: View, level: Level, *, color: bool, white: float) -> Float[Tensor, "1 9 3"]:
    """Harmonics of least squares in sRGB units, reweighted so that what no light explains does not count.

    Args:
        view: The head.
        level: The photograph.
        color: False for a grey photograph: its light is white.
        white: Cost of the light's deviation from white light, over that of the compared pixels.

    Returns:
        The light; neutral where nothing of the face is seen.
    """
    photograph = srgb_to_linear(level.image_srgb.permute(0, 2, 3, 1))
    # Errors of linear light count as much as they show: by the slope of the transfer function.
    grey = luminance(photograph).clamp(min=0.02)
    slope = (grey.pow(1.0 / 2.2 - 1.0) / 2.2)[..., None]
    unsaturated = (level.image_srgb.amax(1) < _SATURATED).to(grey)
    base = view.weight * unsaturated
    is_color = torch.tensor([color], device=grey.device)
    robust = torch.ones_like(base)
    light = neutral_lighting(1, grey.device).to(grey)
    for _ in range(_ROUNDS):
        weight = (base * robust)[..., None] * slope.square()
        seen = weight.flatten() > 0.0
        if int(seen.sum()) < _LEAST_PIXELS:
            break
        rows, weights = view.harmonics.flatten(0, 2)[seen].double(), weight.flatten()[seen].double()
        albedo, target = view.albedo_linear.flatten(0, 2)[seen].double(), photograph.flatten(0, 2)[seen].double()
        nothing = rows.new_zeros(9)
        whitish = _solve(rows, luminance(albedo), luminance(target), weights, nothing, rows.new_tensor(_RIDGE))
        columns = [whitish] * 3
        if color:
            towards = white + rows.new_tensor(_RIDGE)
            columns = [_solve(rows, albedo[:, c], target[:, c], weights, whitish, towards) for c in range(3)]
        light = torch.stack(columns, dim=-1)[None].to(grey)
        robust = unoccluded(residual_srgb(view.image_linear(light), level.image_srgb, is_color), base)
    return light


def _solve(
    harmonics: Float[Tensor, "pixel 9"],
    albedo: Float[Tensor, " pixel"],
    target: Float[Tensor, " pixel"],
    weight: Float[Tensor, " pixel"],
    towards: Float[Tensor, "9"],
    ridge: Float[Tensor, "9"],
) -> Float[Tensor, "9"]:
    """Least squares, pulled towards a light by `ridge` over the pixels' own weight on the first harmonic."""
    rows = albedo[:, None] * harmonics
    hessian = (rows * weight[:, None]).T @ rows
    pull = ridge * hessian[0, 0] + 1e-9
    right = (rows * weight[:, None]).T @ target + pull * towards
    return torch.cholesky_solve(right[:, None], torch.linalg.cholesky(hessian + torch.diag(pull)))[:, 0]
