"""Whether the raster fit is better than its start, by the picture, the landmarks and what a head can be."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from common.psnr import psnr_db
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.refine.face import FaceCrop, FittedFace
from model.refine.raster.config import RasterFitConfig
from model.refine.raster.levels import Level, View, compared_vertices, draw, make_level
from model.refine.raster.light import solve_light
from model.refine.raster.occlusion import face_mask
from model.refine.raster.residual import solve_residual
from model.render.color import linear_to_srgb, luminance, srgb_to_linear
from model.render.rasterizer import Rasterizer

_LARGEST_COEFFICIENT_SD = 6.0
_LARGEST_OFFSET_MM = 12.0
_MOST_LOSS_DB = 3.0
"""Masked PSNR that the fit may lose against its start with the free albedo of both, where its statistical head is
nearer: a free albedo explains any picture, with the wrong head too."""
_LANDMARK_NOISE = 0.03
"""Residual of landmarks, over the size of the face, that is as good as none: a fit beyond it is refused if
its start was nearer."""
_JUDGED_SIZE_PX = 256
_UNSURE, _SURE = 0.4, 0.8


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
    wrong = _implausible(answer)
    if wrong:
        answer = start
    eye = _Eye(model, rasterizer, crop)
    bare_start, bare = eye.lit(without_residual(start)), eye.lit(without_residual(answer))
    before, after = eye.look(bare_start), eye.look(bare)
    mask = eye.mask(bare)
    common = torch.minimum(before.weight, after.weight)
    weight = mask * common[0]
    kept = bare if config.albedo_residual == "drop" else eye.lit(answer)
    if config.albedo_residual == "learn":
        # What is only half sure to be the face teaches its skin nothing.
        sure = ((mask - _UNSURE) / (_SURE - _UNSURE)).clamp(0.0, 1.0)
        kept = eye.with_residual(bare, after, sure * after.weight[0])
    figures = {
        "psnr_before_db": eye.psnr(start, weight),
        "psnr_after_db": eye.psnr(kept, weight),
        "psnr_statistical_before_db": eye.psnr(bare_start, weight),
        "psnr_statistical_after_db": eye.psnr(bare, weight),
        "landmarks_before_percent": 100.0 * _residual(model, crop, start),
        "landmarks_after_percent": 100.0 * _residual(model, crop, answer),
        "unoccluded_percent": 100.0 * float(weight.sum() / common.sum().clamp(min=1.0)),
    }
    reason = wrong or _why_worse(figures)
    kept = replace(start if reason else kept, unoccluded=eye.full_mask(bare_start if reason else bare))
    said = f"the picture is met to {figures['psnr_after_db']:.1f} dB, before to {figures['psnr_before_db']:.1f} dB"
    return kept, Verdict(not reason, reason or said, figures)


def without_residual(face: FittedFace) -> FittedFace:
    """The head with the albedo of the components alone."""
    detail = face.detail
    if detail is None:
        return face
    return replace(face, detail=replace(detail, albedo_linear=torch.zeros_like(detail.albedo_linear)))


class _Eye:
    """Looks at heads in one photograph."""

    def __init__(self, model: MorphableModel, rasterizer: Rasterizer, crop: FaceCrop) -> None:
        self._model, self._rasterizer, self._crop = model, rasterizer, crop
        self._level = make_level(crop, min(_JUDGED_SIZE_PX, crop.size_px))
        self._compared = compared_vertices(model)

    def look(self, face: FittedFace, level: Level | None = None) -> View:
        mesh = face.mesh(self._model)
        skin = mesh.albedo_linear.clamp(0.0, 1.0)
        vertices, at = mesh.vertices_camera_mm, level or self._level
        return draw(self._model, self._rasterizer, at, vertices, skin, self._compared, face.intrinsics_px)

    def lit(self, face: FittedFace) -> FittedFace:
        light = solve_light(self.look(face), self._level, color=self._crop.color)
        return replace(face, parameters=replace(face.parameters, lighting=light))

    def mask(self, face: FittedFace, level: Level | None = None) -> Float[Tensor, "size size"]:
        return face_mask(
            self.look(face, level),
            level or self._level,
            face.parameters.lighting,
            color=self._crop.color,
        )

    def full_mask(self, face: FittedFace) -> Float[Tensor, "size size"]:
        return self.mask(face, make_level(self._crop, self._crop.size_px))

    def with_residual(self, face: FittedFace, view: View, weight: Float[Tensor, "size size"]) -> FittedFace:
        parameters, detail = face.parameters, face.detail
        if detail is None:
            return face
        residual = solve_residual(
            self._model,
            view,
            self._level,
            parameters.lighting,
            weight[None],
            self._model.albedo_linear(parameters.albedo),
            color=self._crop.color,
        )
        return replace(face, detail=replace(detail, albedo_linear=residual))

    def psnr(self, face: FittedFace, weight: Float[Tensor, "size size"]) -> float:
        """Masked, in sRGB; in luminance for grey photographs."""
        drawn = self.look(face).image_linear(face.parameters.lighting)
        seen = srgb_to_linear(self._level.image_srgb.permute(0, 2, 3, 1))
        if not self._crop.color:
            drawn, seen = (luminance(picture)[..., None] for picture in (drawn, seen))
        error = (linear_to_srgb(drawn) - linear_to_srgb(seen)).square().mean(-1)[0]
        area = float(weight.sum())
        return psnr_db(float((weight * error).sum()) / area) if area >= 1.0 else 0.0


def _implausible(face: FittedFace) -> str:
    parameters = face.parameters
    values = [*vars(parameters).values(), face.intrinsics_px]
    offsets_mm = None if face.detail is None else face.detail.offsets_mm
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


def _why_worse(figures: dict[str, float]) -> str:
    # The start's free albedo has the photograph's shadows in it, and hair: being a little nearer by them is no merit.
    allowed = (("psnr_statistical", "the statistical head", 0.0), ("psnr", "the picture", _MOST_LOSS_DB))
    for kind, what, loss_db in allowed:
        before, after = figures[f"{kind}_before_db"], figures[f"{kind}_after_db"]
        if not math.isfinite(after) or after < before - loss_db:
            return f"{what} would be {after:.1f} dB near the photograph, before it was {before:.1f} dB"
    before, after = figures["landmarks_before_percent"], figures["landmarks_after_percent"]
    if after > max(1.05 * before, 100.0 * _LANDMARK_NOISE):
        return f"landmarks would be {after:.2f} % of the face's size off instead of {before:.2f} %"
    return ""


def _residual(model: MorphableModel, crop: FaceCrop, face: FittedFace) -> float:
    vertices_mm = face.mesh(model).vertices_camera_mm
    points_px = project(model.landmarks(vertices_mm), face.intrinsics_px[None])[0, :, :2]
    weight = crop.landmarks68_weight
    if float(weight.sum()) <= 0.0:
        return 0.0
    known = crop.landmarks68_px[weight > 0.0]
    box_px = (known.amax(0) - known.amin(0)).clamp(min=1.0).prod().sqrt()
    return float((weight * (points_px - crop.landmarks68_px).norm(dim=-1)).sum() / weight.sum() / box_px)
