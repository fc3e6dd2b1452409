"""Stage 4, experimental: the shape by its shading, after light and skin were found for the shape before.

RaytracedFace ──state──> heights along the normals ──> moved head ──> light and skin again ──> better? kept
                 (light and albedo held, visibility too)                                 else: the one before
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from model.export.atlas import build_atlas
from model.face.morphable_model import MorphableModel
from model.face.refinement import Refinement
from model.geometry.mesh import vertex_normals
from model.refine.face import FittedFace, StageRecord
from model.refine.raytrace.descent import History
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.raytraced_face import RaytracedFace, RaytracedState
from model.refine.raytrace.shape_config import ShapeConfig
from model.refine.raytrace.shape_heights import Heights, irradiance_slope
from model.refine.raytrace.shape_normals import with_normal_map

_NAME = "shape"
_ANY_PX = 16
"""Of an atlas of which only the split vertices are wanted."""

Refit = Callable[[FittedFace], tuple[RaytracedFace, StageRecord]]
"""The ray-traced stage with its settings but for `sclera`, None: the eyes have told the skin's tone already."""


def fit_shape(
    morphable_model: MorphableModel, raytraced: RaytracedFace, config: ShapeConfig, refit: Refit
) -> tuple[RaytracedFace, StageRecord]:
    """Move the shape by its shading.

    Args:
        morphable_model: The head.
        raytraced: Light and skin of the shape so far.
        config: Steps, weights, and what is believed.
        refit: Finds light and skin of the moved shape, whose shadows are others.

    Returns:
        The moved face with the light and skin that `refit` found; where that explains the photograph no better without
        texture, or heights are not plausible, `raytraced` as it was and a record with the reason.

    Raises:
        ValueError: If the ray-traced stage left no light to go by, or its light is a stage of lamps.
    """
    state = raytraced.state
    if raytraced.appearance is None or state is None:
        raise ValueError("the ray-traced stage found no light and skin to move the shape by")
    began, history = time.perf_counter(), History()
    height_mm = Heights(morphable_model, state, _slope(state, config), config).run(history)
    figures = _sizes_mm(state, height_mm)
    figures["shape_seconds"] = time.perf_counter() - began
    answer, reason = raytraced, _implausible(figures, config)
    if not reason:
        moved = moved_face(morphable_model, raytraced.fitted, height_mm)
        found, record = refit(moved)
        figures["refit_seconds"] = record.seconds
        reason = _no_better(state, found, record, figures, config)
        if not reason:
            answer = found
            if config.normal_map:
                assert found.state is not None, "asked before"
                atlas = build_atlas(morphable_model, _ANY_PX)
                answer = with_normal_map(found, _slope(found.state, config), atlas, config, history)
    gain = figures.get("psnr_gain_db", 0.0)
    told = f"heights of {figures['height_rms_mm']:.2f} mm (rms) give {gain:+.1f} dB without texture"
    seconds = time.perf_counter() - began
    return answer, StageRecord(_NAME, not reason, reason or told, seconds, figures, history)


def moved_face(morphable_model: MorphableModel, fitted: FittedFace, height_mm: Float[Tensor, "vertex 1"]) -> FittedFace:
    """The face with its vertices displaced along their normals."""
    with torch.no_grad():
        vertices_mm = fitted.mesh(morphable_model).vertices_mm
        offsets_mm = height_mm * vertex_normals(vertices_mm, morphable_model.faces)
    refinement = fitted.refinement
    if refinement is None:
        nothing = torch.zeros_like(offsets_mm)
        refinement = Refinement(nothing, nothing, torch.ones_like(nothing[..., 0]), torch.zeros_like(nothing[..., 0]))
    return replace(fitted, refinement=replace(refinement, offsets_mm=refinement.offsets_mm + offsets_mm))


@torch.no_grad()
def _slope(state: RaytracedState, config: ShapeConfig) -> Float[Tensor, "sample 3 3"]:
    geometry = state.surface.geometry
    rays = EmbreeRays(geometry.vertices_mm.detach().cpu().numpy(), geometry.faces.cpu().numpy())
    return irradiance_slope(state, rays, config.directions)


def _sizes_mm(state: RaytracedState, height_mm: Float[Tensor, "vertex 1"]) -> dict[str, float]:
    """Heights where the face is seen."""
    weight = state.problem.weight
    at_samples = state.surface.interpolate(height_mm.cpu())[:, 0].to(weight)
    mean_square = (weight * at_samples.square()).sum() / weight.sum().clamp(min=1e-6)
    return {"height_rms_mm": float(mean_square.sqrt()), "height_most_mm": float(height_mm.abs().max())}


def _implausible(figures: dict[str, float], config: ShapeConfig) -> str:
    rms_mm, most_mm = figures["height_rms_mm"], figures["height_most_mm"]
    # Said this way round so that what is no number is refused as well.
    if rms_mm <= config.most_rms_mm and most_mm <= config.most_mm:
        return ""
    return f"heights of {rms_mm:.1f} mm (rms), {most_mm:.1f} mm at most, are no detail; the earlier shape is kept"


def _no_better(
    before: RaytracedState, found: RaytracedFace, record: StageRecord, figures: dict[str, float], config: ShapeConfig
) -> str:
    """Why the moved shape must not be kept; empty if it may."""
    if not record.accepted or found.state is None:
        return f"light and skin of the moved shape were refused: {record.reason}"
    before_db, after_db = statistical_psnr_db(before, found.state)
    figures |= {"psnr_statistical_before_db": before_db, "psnr_statistical_after_db": after_db}
    figures["psnr_gain_db"] = after_db - before_db
    if after_db - before_db >= config.least_gain_db:
        return ""
    return (
        f"without texture the moved shape has {after_db:.1f} dB, the one before {before_db:.1f} dB; "
        "the earlier shape is kept"
    )


def statistical_psnr_db(first: RaytracedState, second: RaytracedState) -> tuple[float, float]:
    """How well two states explain the photograph without texture, over the pixels that both of them believe."""
    pictures = [_weight_picture(state) for state in (first, second)]
    shared = torch.minimum(*pictures)
    found = []
    for state in (first, second):
        weight = shared[state.surface.pixel_index.to(shared.device)]
        found.append(replace(state.problem, weight=weight).psnr_db(state.radiance()))
    return found[0], found[1]


def _weight_picture(state: RaytracedState) -> Float[Tensor, " pixel"]:
    weight = state.problem.weight
    return state.surface.pixel_mean(weight.cpu()[:, None]).flatten().to(weight)
