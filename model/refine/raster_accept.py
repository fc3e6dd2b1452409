"""Whether the raster fit is better than its start, by the picture, the landmarks and what a head can be."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.refine.face import FaceCrop, FittedFace
from model.refine.raster_config import RasterFitConfig
from model.refine.raster_levels import Level, View, compared_vertices, draw, make_level
from model.refine.raster_light import solve_light
from model.refine.raster_occlusion import face_mask
from model.render.color import linear_to_srgb, luminance, srgb_to_linear
from model.render.rasterizer import Rasterizer

_LARGEST_COEFFICIENT_SD = 6.0
_LARGEST_OFFSET_MM = 12.0
_JUDGED_SIZE_PX = 256


@dataclass(frozen=True)
class Verdict:
    """What was decided about the fit.

    Attributes:
        accepted: Whether it is kept.
        reason: Why, in words.
        figures: By name with unit.
    """

    accepted: bool
    reason: str
    figures: dict[str, float]


def judge(
    model: MorphableModel,
    rasterizer: Rasterizer,
    crop: FaceCrop,
    start: FittedFace,
    answer: FittedFace,
    config: RasterFitConfig,
) -> tuple[FittedFace, Verdict]:
    """Compare start and answer on the same pixels.

    Args:
        model: The head.
        rasterizer: What draws.
        crop: The photograph.
        start: The earlier answer, under its own light.
        answer: The fit.
        config: How much worse landmarks may become; how light and occluders are found.

    Returns:
        The face to go on with, its occluders marked, and the verdict.
    """
    level = make_level(crop, min(_JUDGED_SIZE_PX, crop.size_px))
    compared = compared_vertices(model)

    def look(face: FittedFace, at: Level) -> View:
        mesh = face.mesh(model)
        return draw(
            model, rasterizer, at, mesh.vertices_camera_mm, mesh.albedo_linear.clamp(0.0, 1.0), compared,
            face.intrinsics_px,
        )  # fmt: skip

    def lit(face: FittedFace) -> FittedFace:
        lighting = solve_light(look(face, level), level, color=crop.color, white=config.white_light)
        return replace(face, parameters=replace(face.parameters, lighting=lighting))

    wrong = _implausible(answer)
    relit_start = lit(start)
    answer = relit_start if wrong else lit(answer)
    before, after = look(start, level), look(answer, level)
    smoothing, lighting = config.occlusion_smoothing, answer.parameters.lighting
    mask = face_mask(after, level, lighting, color=crop.color, smoothing=smoothing)
    weight = mask * torch.minimum(before.weight, after.weight)[0]
    figures = {
        "psnr_before_db": _psnr(before, level, start.parameters.lighting, weight, color=crop.color),
        "psnr_relit_db": _psnr(before, level, relit_start.parameters.lighting, weight, color=crop.color),
        "psnr_after_db": _psnr(after, level, lighting, weight, color=crop.color),
        "landmarks_before_percent": 100.0 * _residual(model, crop, start),
        "landmarks_after_percent": 100.0 * _residual(model, crop, answer),
        "unoccluded_percent": 100.0
        * float(weight.sum() / torch.minimum(before.weight, after.weight).sum().clamp(min=1)),
    }
    reason = wrong or _why_worse(figures, config)
    kept = start if reason else answer
    full = make_level(crop, crop.size_px)
    kept_mask = face_mask(look(kept, full), full, kept.parameters.lighting, color=crop.color, smoothing=smoothing)
    kept = replace(kept, unoccluded=kept_mask)
    said = f"the picture is met to {figures['psnr_after_db']:.1f} dB, before to {figures['psnr_before_db']:.1f} dB"
    return kept, Verdict(not reason, reason or said, figures)


def _implausible(face: FittedFace) -> str:
    parameters = face.parameters
    values = [*vars(parameters).values(), face.intrinsics_px]
    offsets_mm = None if face.refinement is None else face.refinement.offsets_mm
    if offsets_mm is not None:
        values.append(offsets_mm)
    if not all(bool(torch.isfinite(value).all()) for value in values):
        return "the raster fit did not converge"
    if float(parameters.translation_mm[0, 2]) > -50.0:
        return "the fitted head lies at or behind the camera"
    largest = float(parameters.identity.abs().amax()) if parameters.identity.numel() else 0.0
    if largest > _LARGEST_COEFFICIENT_SD:
        return f"an identity coefficient of {largest:.1f} standard deviations is no face"
    if offsets_mm is not None and float(offsets_mm.norm(dim=-1).amax()) > _LARGEST_OFFSET_MM:
        return f"a vertex {float(offsets_mm.norm(dim=-1).amax()):.0f} mm off the statistical head is no face"
    return ""


def _why_worse(figures: dict[str, float], config: RasterFitConfig) -> str:
    before, after = figures["psnr_relit_db"], figures["psnr_after_db"]
    if not math.isfinite(after) or after < before:
        return f"the picture is met to {after:.1f} dB, the start's head meets it to {before:.1f} dB"
    before, after = figures["landmarks_before_percent"], figures["landmarks_after_percent"]
    if after > max(1.05 * before, 100.0 * config.landmark_noise):
        return f"landmarks would be {after:.2f} % of the face's size off instead of {before:.2f} %"
    return ""


def _psnr(
    view: View, level: Level, lighting: Float[Tensor, "1 9 3"], weight: Float[Tensor, "size size"], *, color: bool
) -> float:
    """Masked, in sRGB; in luminance for grey photographs."""
    drawn, seen = view.image_linear(lighting).clamp(0.0, 1.0), srgb_to_linear(level.image_srgb.permute(0, 2, 3, 1))
    if not color:
        drawn, seen = (luminance(picture)[..., None] for picture in (drawn, seen))
    error = (linear_to_srgb(drawn) - linear_to_srgb(seen)).square().mean(-1)[0]
    area = float(weight.sum())
    if area < 1.0:
        return 0.0
    return -10.0 * math.log10(max(float((weight * error).sum()) / area, 1e-10))


def _residual(model: MorphableModel, crop: FaceCrop, face: FittedFace) -> float:
    vertices_mm = face.mesh(model).vertices_camera_mm
    points_px = project(model.landmarks(vertices_mm), face.intrinsics_px[None])[0, :, :2]
    weight = crop.landmarks68_weight
    if float(weight.sum()) <= 0.0:
        return 0.0
    known = crop.landmarks68_px[weight > 0.0]
    box_px = (known.amax(0) - known.amin(0)).clamp(min=1.0).prod().sqrt()
    return float((weight * (points_px - crop.landmarks68_px).norm(dim=-1)).sum() / weight.sum() / box_px)
