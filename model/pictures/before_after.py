"""What a refinement changed, side by side and named: `before_after.jpg`."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.pictures.drawing import BACKGROUND, as_bytes, draw_fitted, over_background, titled, to_srgb
from model.pictures.relit import in_own_light
from model.refine.face import FaceCrop
from model.refine.refined import Raytraced, RefinedFace
from model.render.color import luminance
from model.render.renderer import Rendering

_ERROR_GAIN = 4.0
"""An error of a quarter of the range is shown as the largest."""
_LEAST_ALBEDO = 0.02


@torch.no_grad()
def draw_before_after(refined: RefinedFace, morphable_model: MorphableModel) -> UInt8[np.ndarray, "height width 3"]:
    """Draw photograph, rendering before and after, diffuse albedo, shading and error.

    The error is the mean absolute difference of photograph and last rendering in sRGB, four times, black to yellow,
    where nothing hides the face.
    """
    crop = refined.crop
    photograph = crop.image_srgb.permute(1, 2, 0)
    before, after = (draw_fitted(face, crop, morphable_model) for face in (refined.start, refined.fitted))
    covered = after.mask[0, ..., None].clamp(0.0, 1.0)
    image, albedo, shading = after.image_linear[0], after.albedo_linear[0], after.shading[0]
    if refined.raytraced is not None:
        image, albedo = _raytraced(refined, refined.raytraced, morphable_model)
        shading = image / albedo.clamp(min=_LEAST_ALBEDO)
    if not crop.color:
        image, albedo, shading = (luminance(values)[..., None].expand(-1, -1, 3) for values in (image, albedo, shading))
    final = to_srgb(image)
    compared = (covered[..., 0] > 0.5) * crop.inside
    if refined.fitted.unoccluded is not None:
        compared = compared * refined.fitted.unoccluded
    error = (final - photograph).abs().mean(-1) * compared
    tiles = {
        "photograph": photograph * crop.inside[..., None] + BACKGROUND * (1.0 - crop.inside[..., None]),
        "before": over_background(_first(before, crop), before.mask[0, ..., None].clamp(0.0, 1.0)),
        "after": over_background(final, covered),
        "diffuse albedo": over_background(to_srgb(albedo), covered),
        "shading": over_background(to_srgb(shading / _white(shading, compared)), covered),
    }
    pictures = [titled(as_bytes(tile), title) for title, tile in tiles.items()]
    heat = cv2.applyColorMap(as_bytes(_ERROR_GAIN * error), cv2.COLORMAP_INFERNO)[..., ::-1]
    pictures.append(titled(heat, "error x 4"))
    return np.concatenate(pictures, axis=1)


def _raytraced(
    refined: RefinedFace, raytraced: Raytraced, morphable_model: MorphableModel
) -> tuple[Float[Tensor, "size size 3"], Float[Tensor, "size size 3"]]:
    """Picture and albedo: the stage's own where it compared, else the whole head's in the light that it found."""
    whole = in_own_light(refined, raytraced, morphable_model)
    device = refined.crop.image_srgb.device
    image, albedo = (picture.to(device) for picture in whole)
    known = raytraced.mask[..., None].to(device)
    image = known * raytraced.rendered_linear.to(device) + (1.0 - known) * image
    return image, known * raytraced.albedo_linear.to(device) + (1.0 - known) * albedo


def _white(shading: Float[Tensor, "size size 3"], compared: Float[Tensor, "size size"]) -> Float[Tensor, ""]:
    """What of the shading is shown as white: more than nearly all of the face has."""
    seen = shading[compared > 0.5]
    return torch.quantile(seen, 0.99).clamp(min=1e-3) if len(seen) else shading.amax().clamp(min=1e-3)


def _first(before: Rendering, crop: FaceCrop) -> Float[Tensor, "size size 3"]:
    image = before.image_linear[0]
    return to_srgb(image if crop.color else luminance(image)[..., None].expand(-1, -1, 3))
