"""The ray-traced stage: light with its shadows, then skin, of a head whose shape is known.

FittedFace ──> mesh ──rays──> TransportTables          once
                                   │
photograph ──> SkinProblem <───────────┘
                  │
      light <──> albedo coefficients                    the statistical albedo is too coarse to hold shadows
                  │
      texture <──> light, regional materials            in turns
                  │
             Appearance                                 maps and environment
"""

import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas, build_atlas
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.raytrace.accept import harmonic_radiance, what_is_wrong
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.pixel_surface import HeadGeometry, pixel_surface
from model.refine.raytrace.raytraced_face import RaytracedFace
from model.refine.raytrace.sclera import sclera_faces
from model.refine.raytrace.skin_samples import build_problem, sample_weight, skin_faces
from model.refine.raytrace.skin_search import SeenFace, SkinSearch

_NAME = "raytrace"
_FEWEST_SAMPLES = 200


def fit_raytrace(
    morphable_model: MorphableModel,
    crop: FaceCrop,
    start: FittedFace,
    config: RaytraceConfig,
    cache: Path | None = None,
) -> tuple[RaytracedFace, StageRecord]:
    """Find light and skin.

    Args:
        morphable_model: The head.
        crop: The photograph's window.
        start: Shape, pose, camera, statistical albedo: all but the albedo are kept.
        config: Settings.
        cache: Folder of transport that was traced before; None to trace.

    Returns:
        Light and skin, and what became of them. Where too little of the face is seen, light with shadows explains the
        photograph no better than light without, or the picture is worse, `appearance` is None and the record says why.

    Raises:
        ValueError: If the window shows too little of the face.
        ImportError: If there is no ray tracer.
    """
    began = time.perf_counter()
    face = _trace(morphable_model, crop, start, config, cache)
    traced = time.perf_counter()
    # Light and skin, in turns; then skin maps in texture space.
    search = SkinSearch(morphable_model, face, start, config)
    search.run()
    answer = search.answer(start, build_atlas_once(morphable_model, config.texture_px))
    figures = {
        **_psnr_figures(morphable_model, face, start, search),
        "believed_share": float(search.problem.weight.sum() / face.skin.weight.sum()),
        "sclera_shift_log": search.sclera_shift_log,
        "samples": float(len(face.surface)),
        "trace_seconds": traced - began,
        "optimisation_seconds": time.perf_counter() - traced,
    }
    assert answer.appearance is not None, "a search always has an answer"
    reason = what_is_wrong(figures, answer.appearance, config)
    record = StageRecord(
        name=_NAME,
        accepted=not reason,
        reason=reason or f"PSNR {figures['psnr_after_db']:.1f} dB, before {figures['psnr_before_db']:.1f} dB",
        seconds=time.perf_counter() - began,
        figures=figures,
        history=search.history,
    )
    if reason:
        answer = replace(answer, fitted=start, appearance=None)
    return answer, record


def _psnr_figures(
    morphable_model: MorphableModel, face: SeenFace, start: FittedFace, search: SkinSearch
) -> dict[str, float]:
    """PSNR over the samples, in dB, before and after, each with the whole and with the statistical albedo alone."""
    mesh = start.mesh(morphable_model)
    # The start's free albedo has its shadows painted in.
    bare = replace(mesh, albedo_linear=morphable_model.albedo_linear(start.parameters.albedo))
    before_db, plain_db = (
        search.problem.psnr_db(harmonic_radiance(of, face.surface, start.parameters.lighting)) for of in (mesh, bare)
    )
    return {
        "psnr_before_db": before_db,
        "psnr_start_statistical_db": plain_db,
        "psnr_statistical_db": search.statistical_db,
        "psnr_after_db": search.problem.psnr_db(search.radiance()),
    }


@torch.no_grad()
def _trace(
    morphable_model: MorphableModel, crop: FaceCrop, start: FittedFace, config: RaytraceConfig, cache: Path | None
) -> SeenFace:
    """What the photograph shows of skin and eyes, and what each light would send from there to the camera.

    Raises:
        ValueError: If the window shows too little of the face.
    """
    # The head in camera space, mm, and the ray tracer on it.
    mesh = start.mesh(morphable_model)
    geometry = HeadGeometry(
        mesh.vertices_camera_mm[0], morphable_model.faces, morphable_model.uv, morphable_model.uv_faces
    )
    rays = EmbreeRays(geometry.vertices_mm.cpu().numpy(), geometry.faces.cpu().numpy())
    # Samples: the pixels of the window that show skin or the white of an eye, each with its place on the head.
    skin, white = skin_faces(morphable_model), sclera_faces(morphable_model)
    surface = pixel_surface(geometry, rays, start.intrinsics_px, crop.size_px, keep_faces=skin | white)
    weight = sample_weight(surface, crop)
    surface, weight = surface.kept(weight > 0.0), weight[weight > 0.0]
    of_skin = skin[surface.face_index]
    if int(of_skin.sum()) < _FEWEST_SAMPLES:
        raise ValueError(f"the window shows {int(of_skin.sum())} pixels of skin, {_FEWEST_SAMPLES} are needed")
    # Tables: what each sample sends to the camera under each basis light, shadows and one bounce included.
    setup = LightSetup(config.light, geometry.middle_mm)
    statistical = morphable_model.albedo_linear(start.parameters.albedo)[0].clamp(0.0, 1.0)
    tables = setup.tables(surface, rays, statistical, cache)
    # The photograph's linear radiance at the samples beside the tables, apart for skin and eyes.
    everything = build_problem(morphable_model, crop, surface, weight, tables)
    skin_samples, eye_samples = (which.nonzero()[:, 0].to(tables.diffuse.device) for which in (of_skin, ~of_skin))
    return SeenFace(surface.kept(of_skin), everything.part(skin_samples), everything.part(eye_samples), setup)


@lru_cache(maxsize=4)
def build_atlas_once(morphable_model: MorphableModel, texture_px: int) -> Atlas:
    """The head's texture space, drawn once for all faces."""
    return build_atlas(morphable_model, texture_px)
