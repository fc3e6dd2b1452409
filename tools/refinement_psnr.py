"""PSNR of the answers of a refinement to one photograph, all in the same mask."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.psnr import psnr_db
from model.face.morphable_model import MorphableModel
from model.pictures.drawing import draw_fitted, to_srgb
from model.pictures.relit import in_own_light
from model.refine.face import FaceCrop
from model.refine.raytrace.skin_samples import skin_faces
from model.refine.refined import Raytraced, RefinedFace, StageAnswer
from model.render.color import luminance
from model.render.renderer import Rendering


@torch.no_grad()
def psnr_figures(refined: RefinedFace, answers: dict[str, StageAnswer], model: MorphableModel) -> dict[str, float]:
    """PSNR of each answer in dB, all in one mask.

    Returns:
        `network`, `raster`, `raytrace`: with the weights of the ray-traced stage, whose own picture is the last.
        `... skin`: over all pixels of drawn skin, without weights; the last is what the written maps and the light
        make of the whole head. Where the ray-traced answer was not kept only these, and none of that answer.
    """
    crop = refined.crop
    drawn = {"network": draw_fitted(refined.start, crop, model)}
    if "raster" in answers:
        drawn["raster"] = draw_fitted(answers["raster"].fitted, crop, model)
    pictures = {name: rendering.image_linear[0] for name, rendering in drawn.items()}
    skin = _skin(drawn.values(), model) & (crop.inside > 0.5)
    figures = {f"{name} skin": crop_psnr_db(picture, crop, skin.float()) for name, picture in pictures.items()}
    if refined.raytraced is None:
        return figures
    figures["raytrace skin"] = crop_psnr_db(_whole(refined, refined.raytraced, model), crop, skin.float())
    pictures["raytrace"] = refined.raytraced.rendered_linear
    mask = refined.raytraced.mask.to(crop.inside)
    common = mask * torch.stack([rendering.mask[0] > 0.99 for rendering in drawn.values()]).all(0)
    return {name: crop_psnr_db(picture, crop, common) for name, picture in pictures.items()} | figures


def crop_psnr_db(
    image_linear: Float[Tensor, "size size 3"], crop: FaceCrop, weight: Float[Tensor, "size size"]
) -> float:
    """Weighted peak signal-to-noise ratio in sRGB as the picture is seen; in luminance of a grey photograph."""
    if not crop.color:
        image_linear = luminance(image_linear)[..., None].expand(-1, -1, 3)
    error = (to_srgb(image_linear.to(crop.image_srgb)) - crop.image_srgb.permute(1, 2, 0)).square().mean(-1)
    return psnr_db((weight * error).sum() / weight.sum().clamp(min=1e-6))


def _skin(drawn: Iterable[Rendering], model: MorphableModel) -> Bool[Tensor, "size size"]:
    """Pixels that show facial skin in all renderings."""
    shows = torch.cat((skin_faces(model), torch.zeros(1, dtype=torch.bool))).to(model.faces.device)
    return torch.stack([shows[rendering.face_index[0].long()] for rendering in drawn]).all(0)


def _whole(refined: RefinedFace, raytraced: Raytraced, model: MorphableModel) -> Float[Tensor, "size size 3"]:
    image, _ = in_own_light(refined, raytraced, model)
    return image.to(refined.crop.image_srgb)
