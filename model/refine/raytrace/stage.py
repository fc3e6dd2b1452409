"""The ray-traced stage: light with its shadows, then skin, of a head whose shape is known.

FittedFace ──> mesh ──rays──> TransportTables          once
                                   │
photograph ──> Problem <───────────┘
                  │
      light <──> albedo coefficients                    no shadow fits into the statistical albedo
                  │
      texture <──> light, regional materials            in turns
                  │
             Appearance                                 maps and environment
"""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from model.export.appearance import Appearance
from model.export.atlas import Atlas, build_atlas
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import Mesh, vertex_normals
from model.losses.occlusion import unoccluded
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_fit import fit_light
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.light_solver import solve_in_turns
from model.refine.raytrace.maps import skin_maps
from model.refine.raytrace.materials import (
    Materials,
    MaterialVariable,
    changed,
    region_shares,
    statistical_materials,
)
from model.refine.raytrace.problem import Problem, observe
from model.refine.raytrace.reflectance import TextureVariable, texture_side
from model.refine.raytrace.surface import HeadGeometry, PixelSurface, pixel_surface
from model.refine.raytrace.tables import TransportTables, irradiance, mixed_levels
from model.render.lighting import shade as shade_harmonics

_NAME = "raytrace"
_FEWEST_SAMPLES = 200
_COSINE_EDGE = 0.2
_OCCLUSION_ROUNDS = 2
_OCCLUDER_REACH = 0.02
"""Neighbourhood in which a residual is judged, over the side of the window."""
_TONE_SD = 0.25
"""Standard deviation of the log of the network's skin tone over the true one, on path-traced heads (docs/log.md)."""


@dataclass(frozen=True)
class RaytracedFace:
    """What the stage found.

    Attributes:
        fitted: The face; its shape, pose and camera are the start's.
        appearance: Skin and light; None where the answer was not accepted.
        rendered_linear: The face as they make it look.
        mask: Where it was compared with the photograph, [0, 1].
        albedo_linear: The diffuse albedo as the window shows it.
    """

    fitted: FittedFace
    appearance: Appearance | None
    rendered_linear: Float[Tensor, "size size 3"]
    mask: Float[Tensor, "size size"]
    albedo_linear: Float[Tensor, "size size 3"]


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
        Light and skin, and what became of them. Where the photograph is explained no better than by the start, or
        what was found is no light that could be, `appearance` is None and the record says why.

    Raises:
        ValueError: If the window shows too little of the face.
        ImportError: If there is no ray tracer.
    """
    began = time.perf_counter()
    with torch.no_grad():
        mesh = start.mesh(morphable_model)
        geometry = HeadGeometry(
            mesh.vertices_camera_mm[0], morphable_model.faces, morphable_model.uv, morphable_model.uv_faces
        )
        rays = EmbreeRays(geometry.vertices_mm.cpu().numpy(), geometry.faces.cpu().numpy())
        surface = pixel_surface(
            geometry, rays, start.intrinsics_px, crop.size_px, keep_faces=skin_faces(morphable_model)
        )
        weight = sample_weight(surface, crop, config.least_cosine)
        surface, weight = surface.kept(weight > 0.0), weight[weight > 0.0]
        if len(surface) < _FEWEST_SAMPLES:
            raise ValueError(f"the window shows {len(surface)} pixels of the face, {_FEWEST_SAMPLES} are needed")
        setup = LightSetup(config.light, geometry.middle_mm)
        statistical = morphable_model.albedo_linear(start.parameters.albedo)[0].clamp(0.0, 1.0)
        tables = setup.tables(surface, rays, statistical, cache)
        problem = build_problem(morphable_model, crop, surface, weight, tables)
    traced = time.perf_counter()
    search = _Search(morphable_model, problem, surface, start, setup, config)
    search.run()
    answer = search.answer(start, build_atlas_once(morphable_model, config.texture_px))
    before_db = search.problem.psnr_db(_start_radiance(mesh, surface, start))
    figures = {
        "psnr_before_db": before_db,
        "psnr_statistical_db": search.statistical_db,
        "psnr_after_db": search.problem.psnr_db(search.radiance()),
        "samples": float(len(surface)),
        "trace_seconds": traced - began,
        "optimisation_seconds": time.perf_counter() - traced,
    }
    reason = what_is_wrong(figures, answer, config)
    record = StageRecord(
        name=_NAME,
        accepted=not reason,
        reason=reason or f"PSNR {figures['psnr_after_db']:.1f} dB, before {before_db:.1f} dB",
        seconds=time.perf_counter() - began,
        figures=figures,
        history=search.history,
    )
    if reason:
        answer = replace(answer, fitted=start, appearance=None)
    return answer, record


class _Search:
    """Light, albedo coefficients, texture and materials of one face, found in turns."""

    def __init__(
        self,
        morphable_model: MorphableModel,
        problem: Problem,
        surface: PixelSurface,
        start: FittedFace,
        setup: LightSetup,
        config: RaytraceConfig,
    ) -> None:
        self._model, self.problem, self._surface, self._setup, self._config = (
            morphable_model,
            problem,
            surface,
            setup,
            config,
        )
        self.history: History = {}
        self.statistical_db = float("nan")
        self._start_coefficients = start.parameters.albedo[0].detach()
        self._vertex_materials = statistical_materials(morphable_model)
        stacked = torch.stack((self._vertex_materials.f0, self._vertex_materials.roughness), dim=1)
        at_samples = surface.interpolate(stacked.cpu()).to(problem.uv)
        self._base = Materials(at_samples[:, 0], at_samples[:, 1])
        self._factors = MaterialVariable(config, problem.uv.device)
        self._texture = TextureVariable(problem, texture_side(surface.size_px, config.texture_px))
        generator = torch.Generator().manual_seed(config.seed)
        chosen = torch.randperm(len(surface), generator=generator)[: config.light_samples].sort().values
        self._chosen = chosen.to(problem.uv.device)
        self._seen = problem.weight
        shown = torch.ones_like(problem.weight)
        if start.unoccluded is not None:
            shown = start.unoccluded.to(problem.weight).flatten()[surface.pixel_index.to(problem.weight.device)]
        self._believe(shown)

    def run(self) -> None:
        config, space = self._config, self._setup.space
        for _ in range(_OCCLUSION_ROUNDS):
            with torch.no_grad():
                self.light, self.coefficients = solve_in_turns(
                    self._part,
                    self._start_coefficients,
                    self._reflection(self._chosen),
                    nonnegative=space.nonnegative,
                    rounds=config.solver_rounds,
                )
                # Asked again: without shadows, a shadow looks like something before the face.
                self._believe(self._unoccluded())
        for turn in range(config.rounds):
            with torch.no_grad():
                texture = self._texture(self._part.uv)
                reflection = self._reflection(self._chosen)
            self.light, self.coefficients = fit_light(
                self._part,
                space,
                self.light,
                self.coefficients,
                self._start_coefficients,
                reflection,
                texture,
                config,
                self.history,
            )
            if turn == 0:
                self.statistical_db = self.problem.psnr_db(self.radiance())
            with torch.no_grad():
                albedo = self.albedo_linear()
            self._factors.fit(self.problem, self._base, self.light, albedo, self.history)
            with torch.no_grad():
                arriving = irradiance(self.problem.tables, self.light)
                statistical = self.problem.albedo_linear(self.coefficients)
                glossy = self._glossy()
            tone = self.problem.tone(self.problem.albedo_linear(self._start_coefficients))
            self._texture.fit(self.problem, statistical, tone, arriving, glossy, config, self.history)

    def _believe(self, unoccluded: Float[Tensor, " sample"]) -> None:
        """Weigh samples by how well they are seen and how surely they are skin."""
        self.problem = replace(self.problem, weight=self._seen * unoccluded)
        self._part = self.problem.part(self._chosen)

    def _unoccluded(self) -> Float[Tensor, " sample"]:
        """What statistical skin in the light found so far explains."""
        residual = self.problem.residual_srgb(self.radiance()).norm(dim=1)
        layers = torch.stack((residual, self._seen), dim=1).cpu()
        distance, mask = self._surface.pixel_mean(layers).permute(2, 0, 1)[:, None]
        found = unoccluded(distance, mask, _OCCLUDER_REACH)
        return found.flatten()[self._surface.pixel_index].to(residual)

    @torch.no_grad()
    def albedo_linear(self) -> Float[Tensor, "sample 3"]:
        return self.problem.albedo_linear(self.coefficients) * self._texture(self.problem.uv)

    @torch.no_grad()
    def radiance(self) -> Float[Tensor, "sample 3"]:
        return self.albedo_linear() * irradiance(self.problem.tables, self.light) + self._glossy()

    @torch.no_grad()
    def answer(self, start: FittedFace, atlas: Atlas) -> RaytracedFace:
        surface, problem = self._surface, self.problem
        parameters = replace(start.parameters, albedo=self.coefficients[None])
        vertex_albedo = self._model.albedo_linear(parameters.albedo)[0].clamp(0.01, 1.0)
        maps = skin_maps(
            self._model, atlas, vertex_albedo, self._texture.raw, problem, self._vertex_materials, self._factors.raw
        )
        appearance = Appearance(
            diffuse_linear=maps.diffuse_linear,
            specular_f0=maps.specular_f0,
            roughness=maps.roughness,
            normal=_flat_normals(len(maps.known)),
            known=maps.known,
            environment_linear=self._setup.environment_linear(self.light).numpy(),
            lamps=self._setup.lamps(self.light),
            tone_sd=_TONE_SD,
        )
        return RaytracedFace(
            fitted=replace(start, parameters=parameters),
            appearance=appearance,
            rendered_linear=surface.pixel_mean(self.radiance().cpu()),
            mask=surface.pixel_mean(problem.weight.cpu()[:, None])[..., 0],
            albedo_linear=surface.pixel_mean(self.albedo_linear().cpu()),
        )

    def _materials(self) -> Materials:
        return changed(self._base, self._factors(self.problem.regions, self.problem.uv))

    def _glossy(self) -> Float[Tensor, "sample 3"]:
        tables, now = self.problem.tables, self._materials()
        wide = tables.wide(self.light)
        reflected = torch.einsum("plk,kc->plc", tables.specular, wide)
        glancing = torch.einsum("plk,kc->plc", tables.grazing, wide)
        return mixed_levels(tables.roughness_levels, reflected, glancing, now.f0, now.roughness)

    def _reflection(self, chosen: Tensor) -> Float[Tensor, "some light"]:
        """Glossy transport of some samples with the materials as they are."""
        tables, now = self._part.tables, self._materials()
        f0, roughness = now.f0[chosen].detach(), now.roughness[chosen].detach()
        wide = mixed_levels(tables.roughness_levels, tables.specular, tables.grazing, f0, roughness)
        return wide if tables.spread is None else wide @ tables.spread


def build_problem(
    morphable_model: MorphableModel,
    crop: FaceCrop,
    surface: PixelSurface,
    weight: Float[Tensor, " sample"],
    tables: TransportTables,
) -> Problem:
    """What is known at the samples, on the photograph's device."""
    device = crop.image_srgb.device
    observed, saturated = observe(crop.image_srgb, surface.pixel_index.to(device))
    components = morphable_model.albedo_basis.unflatten(-1, (-1, 3))
    basis = [surface.interpolate(component.cpu()) for component in components]
    return Problem(
        observed_linear=observed,
        saturated=saturated,
        weight=weight.to(device),
        color=crop.color,
        uv=surface.uv.to(device),
        albedo_mean=surface.interpolate(morphable_model.albedo_mean.cpu()).to(device),
        albedo_basis=torch.stack(basis).to(device),
        regions=surface.interpolate(region_shares(morphable_model).cpu()).to(device),
        tables=tables.to(device),
    )


def skin_faces(morphable_model: MorphableModel) -> Bool[Tensor, " face"]:
    """Triangles of bare facial skin: neither eyes nor the inside of the mouth, nor where hair grows."""
    inside = morphable_model.region("face").clone()
    for name in ("eyes", "mouth_inner", "teeth", "tongue", "eye_sockets"):
        if name in morphable_model.region_names:
            inside &= ~morphable_model.region(name)
    return inside[morphable_model.faces.long()].all(1).cpu()


def sample_weight(surface: PixelSurface, crop: FaceCrop, least_cosine: float) -> Float[Tensor, " sample"]:
    """How well the camera sees each sample: wholly within face and photograph, and not from the side."""
    cosine = (surface.points.normal * surface.view).sum(-1)
    weight = ((cosine - least_cosine) / _COSINE_EDGE).clamp(0.0, 1.0)
    outside = (surface.coverage() < 1.0).float()
    whole = 1.0 - max_pool2d(outside[None, None], 3, stride=1, padding=1)[0, 0]
    image = whole * crop.inside.cpu()
    return weight * image.flatten()[surface.pixel_index]


def what_is_wrong(figures: dict[str, float], answer: RaytracedFace, config: RaytraceConfig) -> str:
    """Why an answer must not be kept; empty if it may."""
    before_db, after_db = figures["psnr_before_db"], figures["psnr_after_db"]
    appearance = answer.appearance
    assert appearance is not None, "asked before anything was thrown away"
    if not (np.isfinite(appearance.diffuse_linear).all() and np.isfinite(appearance.environment_linear).all()):
        return "the answer holds values that are not finite; the earlier answer is kept"
    if after_db < before_db + config.least_gain_db:
        return f"PSNR {after_db:.1f} dB is no better than {before_db:.1f} dB before; the earlier answer is kept"
    return ""


@lru_cache(maxsize=4)
def build_atlas_once(morphable_model: MorphableModel, texture_px: int) -> Atlas:
    """The head's texture space, drawn once for all faces."""
    return build_atlas(morphable_model, texture_px)


def _start_radiance(mesh: Mesh, surface: PixelSurface, start: FittedFace) -> Float[Tensor, "sample 3"]:
    """The start's own rendering: harmonics of three bands, no shadow."""
    normals = vertex_normals(mesh.vertices_camera_mm, surface.geometry.faces)
    shading = shade_harmonics(normals, start.parameters.lighting)[0]
    radiance = mesh.albedo_linear[0] * shading
    return surface.interpolate(radiance.cpu()).to(radiance)


def _flat_normals(size: int) -> Float[np.ndarray, "texture texture 3"]:
    normals = np.zeros((size, size, 3), np.float32)
    normals[..., 2] = 1.0
    return normals
