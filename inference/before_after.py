"""`before_after.jpg`: what a refinement changed, side by side and named."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from common.atomic import atomic_path
from inference.refined import RefinedFace
from model.face.morphable_model import MorphableModel
from model.refine.face import FaceCrop, FittedFace
from model.render.color import linear_to_srgb, luminance
from model.render.rasterizer import build_rasterizer
from model.render.renderer import Renderer, Rendering

_BACKGROUND = 0.93
_TITLE_PX = 20
_ERROR_GAIN = 4.0
"""An error of a quarter of the range is shown as the largest."""
_LEAST_ALBEDO = 0.02


@torch.no_grad()
def write_before_after(refined: RefinedFace, morphable_model: MorphableModel, path: Path) -> None:
    """Draw photograph, rendering before and after, diffuse albedo, shading and error, as a JPEG.

    The error is the mean absolute difference of photograph and last rendering in sRGB, four times, black to yellow,
    where nothing hides the face.
    """
    crop = refined.crop
    photograph = crop.image_srgb.permute(1, 2, 0)
    before, after = (_render(face, crop, morphable_model) for face in (refined.start, refined.fitted))
    covered = after.mask[0, ..., None].clamp(0.0, 1.0)
    image, albedo, shading = after.image_linear[0], after.albedo_linear[0], after.shading[0]
    raytraced = refined.raytraced
    if raytraced is not None:
        known = raytraced.mask[..., None].to(image)
        drawn = raytraced.rendered_linear.to(image)
        image = known * drawn + (1.0 - known) * image
        if raytraced.albedo_linear is not None:
            albedo = known * raytraced.albedo_linear.to(image) + (1.0 - known) * albedo
        shading = known * drawn / albedo.clamp(min=_LEAST_ALBEDO) + (1.0 - known) * shading
    if not crop.color:
        image, albedo, shading = (luminance(values)[..., None].expand(-1, -1, 3) for values in (image, albedo, shading))
    final = _srgb(image)
    compared = (covered[..., 0] > 0.5) * crop.inside
    if refined.fitted.unoccluded is not None:
        compared = compared * refined.fitted.unoccluded
    error = (final - photograph).abs().mean(-1) * compared
    tiles = {
        "photograph": photograph * crop.inside[..., None] + _BACKGROUND * (1.0 - crop.inside[..., None]),
        "before": over_background(_first(before, crop), before.mask[0, ..., None].clamp(0.0, 1.0)),
        "after": over_background(final, covered),
        "diffuse albedo": over_background(_srgb(albedo), covered),
        "shading": over_background(_srgb(shading / _white(shading, compared)), covered),
    }
    pictures = [titled(as_bytes(tile), title) for title, tile in tiles.items()]
    heat = cv2.applyColorMap(as_bytes(_ERROR_GAIN * error), cv2.COLORMAP_INFERNO)[..., ::-1]
    pictures.append(titled(heat, "error x 4"))
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(pictures, axis=1)).save(temporary, "JPEG", quality=92)


def _white(shading: Float[Tensor, "size size 3"], compared: Float[Tensor, "size size"]) -> Float[Tensor, ""]:
    """What of the shading is shown as white: more than nearly all of the face has."""
    seen = shading[compared > 0.5]
    return torch.quantile(seen, 0.99).clamp(min=1e-3) if len(seen) else shading.amax().clamp(min=1e-3)


def _first(before: Rendering, crop: FaceCrop) -> Float[Tensor, "size size 3"]:
    image = before.image_linear[0]
    return _srgb(image if crop.color else luminance(image)[..., None].expand(-1, -1, 3))


def _render(face: FittedFace, crop: FaceCrop, morphable_model: MorphableModel) -> Rendering:
    mesh = face.mesh(morphable_model)
    return Renderer(build_rasterizer()).render(
        mesh.vertices_camera_mm,
        mesh.albedo_linear.clamp(0.0, 1.0),
        face.parameters.lighting,
        morphable_model.faces,
        face.intrinsics_px[None],
        crop.size_px,
        crop.size_px,
    )


def _srgb(linear: Float[Tensor, "size size 3"]) -> Float[Tensor, "size size 3"]:
    return linear_to_srgb(linear.clamp(0.0, 1.0))


def over_background(
    srgb: Float[Tensor, "size size 3"], mask: Float[Tensor, "size size 1"]
) -> Float[Tensor, "size size 3"]:
    """A picture of a head on light grey."""
    return srgb * mask + _BACKGROUND * (1.0 - mask)


def as_bytes(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[0, 1] to 0 to 255."""
    return np.rint(255.0 * values.clamp(0.0, 1.0).cpu().numpy()).astype(np.uint8)


def titled(picture: UInt8[np.ndarray, "size size 3"], title: str) -> UInt8[np.ndarray, "height size 3"]:
    """A picture with its name above it."""
    band = np.full((_TITLE_PX, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(band, title, (4, _TITLE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate((band, picture))
