"""What of the window is the face itself: told by colour and by how far off its brightness is, so that shadow stays."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.occlusion import unoccluded
from model.losses.photometric import residual_srgb
from model.refine.raster.levels import Level, View
from model.render.color import linear_to_srgb, luminance, srgb_to_linear

# A cast shadow leaves half to a third of the light, hair and frames of glasses a tenth; a highlight doubles it.
_DARKER_STOPS, _BRIGHTER_STOPS = 1.6, 1.2
_OVER_STOPS = 0.15
"""sRGB units that a stop beyond these counts."""

_FLOOR = 0.02
_SMOOTHING = 0.02
"""Reach of the estimate over the side of the picture."""


@torch.no_grad()
def fit_weight(
    view: View, level: Level, lighting: Float[Tensor, "1 9 3"], *, color: bool
) -> Float[Tensor, "1 size size"]:
    """Weight of each pixel in the fit: low where the photograph differs much for whatever reason, shadow included."""
    distance = _distance(view, level, lighting, color=color)
    return view.weight * unoccluded(distance, view.weight, _SMOOTHING)


@torch.no_grad()
def face_mask(view: View, level: Level, lighting: Float[Tensor, "1 9 3"], *, color: bool) -> Float[Tensor, "size size"]:
    """How far the window shows the head's face and no occluder: `FittedFace.unoccluded`.

    Unlike the fit's weights it forgives what a shadow or a highlight does: the rendering's brightness may be off by a
    stop or so in either direction, its colour and what goes beyond may not.
    """
    rendered = view.image_linear(lighting)
    photograph = srgb_to_linear(level.image_srgb.permute(0, 2, 3, 1))
    of_rendered, of_photograph = luminance(rendered) + _FLOOR, luminance(photograph) + _FLOOR
    stops = (of_photograph / of_rendered).log2()
    excess = torch.relu(stops - _BRIGHTER_STOPS) + torch.relu(-stops - _DARKER_STOPS)
    # The rendering as bright as the photograph: what is left is colour.
    matched = (rendered * (of_photograph / of_rendered)[..., None]).clamp(0.0, 1.0)
    chroma = torch.zeros_like(stops)
    if color:
        chroma = (linear_to_srgb(matched) - linear_to_srgb(photograph)).norm(dim=-1)
    covered = (view.albedo_linear.sum(-1) > 0.0).to(stops) * level.inside
    distance = 2.0 * chroma + _OVER_STOPS * excess
    return (unoccluded(distance, view.weight, _SMOOTHING) * covered)[0]


def _distance(
    view: View, level: Level, lighting: Float[Tensor, "1 9 3"], *, color: bool
) -> Float[Tensor, "1 size size"]:
    is_color = torch.tensor([color], device=lighting.device)
    return residual_srgb(view.image_linear(lighting), level.image_srgb, is_color)
