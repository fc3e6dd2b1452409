"""The light that explains a photograph of a known head best: linear, hence solved and not searched."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.occlusion import unoccluded
from model.losses.photometric import residual_srgb
from model.refine.raster.levels import Level, View
from model.render.color import luminance, srgb_to_linear
from model.render.lighting import neutral_lighting, spherical_harmonics

_ROUNDS = 6
_LEAST_PIXELS = 36
_RIDGE = (0.0,) + (5e-3,) * 3 + (3e-2,) * 5
"""Cost of each harmonic, over that of the compared pixels: faces show few normals, and say little of the rest."""

_SATURATED = 0.98
"""sRGB value from which on a pixel has lost its brightness."""

_BEYOND_CORE = 0.2
"""Weight of pixels outside of the core of the face, over that of those inside."""

_DIRECTIONS = 128
_DARK_COST = 0.5
"""Cost of shading below 0 in any direction, over that of the compared pixels."""


@torch.no_grad()
def solve_light(view: View, level: Level, *, color: bool, white: float = 0.02) -> Float[Tensor, "1 9 3"]:
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
    saturated = level.image_srgb.amax(1) > _SATURATED
    is_color = torch.tensor([color], device=grey.device)
    # Of two lights that each explain half of the picture, the one that explains the core of the face is meant: bangs
    # would else be taken for skin without light from above.
    of_core = view.core if float(view.core.sum()) >= _LEAST_PIXELS else view.weight
    of_core = torch.where(view.weight > 0.0, of_core / view.weight.clamp(min=1e-6), 0.0)
    robust = of_core
    light = neutral_lighting(1, grey.device).to(grey)
    for _ in range(_ROUNDS):
        # A saturated pixel says only that it is not darker.
        bright = saturated & ((view.albedo_linear * view.shading(light)).amax(-1) > 1.0)
        weight = (view.weight * robust * (~bright).to(grey))[..., None] * slope.square()
        seen = weight.flatten() > 0.0
        if int(seen.sum()) < _LEAST_PIXELS:
            break
        system = _System(view, photograph, weight, seen)
        white_light = system.solve(None, light.mean(-1)[0].double(), torch.zeros(()))
        columns = [white_light] * 3
        if color:
            columns = [system.solve(c, white_light, torch.tensor(white)) for c in range(3)]
        light = torch.stack(columns, dim=-1)[None].to(grey)
        robust = unoccluded(residual_srgb(view.image_linear(light), level.image_srgb, is_color), of_core * view.weight)
        robust = robust * (_BEYOND_CORE + (1.0 - _BEYOND_CORE) * of_core)
    return light


class _System:
    """The pixels' equations."""

    def __init__(self, view: View, photograph: Tensor, weight: Tensor, seen: Tensor) -> None:
        self._harmonics = view.harmonics.flatten(0, 2)[seen].double()
        self._weight = weight.flatten()[seen].double()
        self._albedo = view.albedo_linear.flatten(0, 2)[seen].double()
        self._target = photograph.flatten(0, 2)[seen].double()
        self._ridge = self._harmonics.new_tensor(_RIDGE)
        self._around = spherical_harmonics(_directions().to(self._harmonics))

    def solve(self, channel: int | None, towards: Float[Tensor, "9"], white: Float[Tensor, ""]) -> Float[Tensor, "9"]:
        """Least squares of a channel, or of luminance, pulled towards a light.

        Args:
            channel: Which; None for luminance, where only the higher harmonics are pulled, to nothing.
            towards: The light so far.
            white: How strongly a channel is pulled.
        """
        albedo = luminance(self._albedo) if channel is None else self._albedo[:, channel]
        target = luminance(self._target) if channel is None else self._target[:, channel]
        rows = albedo[:, None] * self._harmonics
        hessian = (rows * self._weight[:, None]).T @ rows
        scale = hessian[0, 0]
        pull = scale * (self._ridge + float(white)) + 1e-9
        right = (rows * self._weight[:, None]).T @ target
        if channel is not None:
            right = right + pull * towards
        # No lamp takes light away: where the light so far would, it is pulled to 0.
        dark = self._around[(self._around @ towards) < 0.0]
        hessian = hessian + _DARK_COST * scale / len(self._around) * dark.T @ dark
        return torch.cholesky_solve(right[:, None], torch.linalg.cholesky(hessian + torch.diag(pull)))[:, 0]


def _directions() -> Float[Tensor, "direction 3"]:
    """Evenly over the sphere (Fibonacci)."""
    index = torch.arange(_DIRECTIONS, dtype=torch.float64) + 0.5
    height = 1.0 - 2.0 * index / _DIRECTIONS
    angle = index * math.pi * (3.0 - math.sqrt(5.0))
    radius = (1.0 - height.square()).sqrt()
    return torch.stack((radius * angle.cos(), height, radius * angle.sin()), dim=-1)
