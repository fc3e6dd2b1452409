"""`SkinSearch`: light, albedo coefficients, texture and materials of one face, found in turns."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.look.appearance import Appearance
from model.look.atlas import Atlas
from model.look.materials import REGIONS, Materials, statistical_materials
from model.refine.face import FittedFace
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History
from model.refine.raytrace.light_fit import fit_light
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.light_solver import solve_in_turns
from model.refine.raytrace.maps import skin_maps
from model.refine.raytrace.materials import MaterialVariable, changed
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.raytraced_face import RaytracedFace
from model.refine.raytrace.reflectance import TextureVariable, texture_side
from model.refine.raytrace.sclera import shifted_coefficients, skin_shift
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.skin_samples import bare_skin
from model.refine.raytrace.transport_tables import glossy, irradiance, mixed_levels, shade

_OCCLUSION_ROUNDS = 2
_SOLVER_ROUNDS = 4
"""How often light and albedo coefficients are solved for in turns before the first step."""
_TONE_SD = 0.3
"""Standard deviation of the log of the skin's tone over the true one, on path-traced heads (docs/log.md)."""


@dataclass(frozen=True)
class SeenFace:
    """One photograph's face as the search is given it.

    Attributes:
        surface: Samples of skin.
        skin: What is known there.
        eyes: What is known at samples of sclera; perhaps there are none.
        setup: The light that is looked for.
    """

    surface: PixelSurface
    skin: SkinProblem
    eyes: SkinProblem
    setup: LightSetup


class SkinSearch:
    """Finds light and skin of one face.

    Attributes:
        problem: What is known at the samples, weighed by how surely they are skin.
        light: Coefficients of the basis lights.
        coefficients: Of the statistical albedo, sd.
        statistical_db: PSNR with the statistical albedo, before there was a texture.
        sclera_shift_log: By how much the eyes moved the log of the skin's tone.
        history: Every term of every step.
    """

    light: Float[Tensor, "light 3"]
    coefficients: Float[Tensor, " component"]

    def __init__(
        self, morphable_model: MorphableModel, face: SeenFace, start: FittedFace, config: RaytraceConfig
    ) -> None:
        """Begin with the start's albedo coefficients, statistical materials and no texture."""
        self._model, self._face, self._config = morphable_model, face, config
        self.problem = face.skin
        self.statistical_db = float("nan")
        self.sclera_shift_log = 0.0
        self.history: History = {}
        self._anchor = start.parameters.albedo[0].detach()
        device = face.skin.uv.device
        self._vertex_materials = statistical_materials(morphable_model)
        stacked = torch.stack((self._vertex_materials.f0, self._vertex_materials.roughness), dim=1)
        at_samples = face.surface.interpolate(stacked.cpu()).to(device)
        self._base = Materials(at_samples[:, 0], at_samples[:, 1])
        self._factors = MaterialVariable(config, device)
        self._texture = TextureVariable(face.skin, texture_side(face.surface.size_px, config.texture_px))
        generator = torch.Generator().manual_seed(config.seed)
        order = torch.randperm(len(face.surface), generator=generator)
        self._chosen = order[: config.light_samples].sort().values.to(device)
        self._shown = torch.ones_like(face.skin.weight)
        if start.unoccluded is not None:
            self._shown = start.unoccluded.to(device).flatten()[face.surface.pixel_index.to(device)]
        self._believe(self._shown)

    def run(self) -> None:
        """Light with the statistical albedo; then texture, light and materials in turns."""
        # Light (linear radiance of the basis lights) and albedo coefficients, in closed form, without a texture.
        self._solve()
        for turn in range(self._config.rounds):
            # Light and coefficients together by gradient descent, with the texture as it is.
            self._move_light()
            if turn == 0:
                self.statistical_db = self.problem.psnr_db(self.radiance())
            # F0 and roughness of each region, with light and linear albedo held.
            albedo = self.albedo_linear()
            self._factors.fit(self.problem, self._base, self.light, albedo, self.history)
            # A factor on the linear albedo for each texel, with light and materials held.
            self._fill_texture()

    @torch.no_grad()
    def _solve(self) -> None:
        """Light and coefficients in closed form, and what of the window is skin."""
        for turn in range(_OCCLUSION_ROUNDS):
            self.light, self.coefficients = solve_in_turns(
                self._part,
                self._anchor,
                self._reflection(),
                nonnegative=self._face.setup.space.nonnegative,
                rounds=_SOLVER_ROUNDS,
            )
            # Asked again: without shadows, a shadow looks like something before the face.
            residual = self.problem.residual_srgb(self.radiance())
            nose = self.problem.regions[:, REGIONS.index("nose")]
            self._believe(bare_skin(self._face.surface, residual, self._face.skin.weight, self._shown, nose))
            if turn == 0 and self._config.sclera is not None:
                # Once: a second look would count the same eyes twice.
                self.sclera_shift_log = skin_shift(self._face.eyes, self.light, self._config.sclera)
                self._anchor = shifted_coefficients(self._part, self._anchor, self.sclera_shift_log)

    def _move_light(self) -> None:
        with torch.no_grad():
            texture, reflection = self._texture(self._part.uv), self._reflection()
        self.light, self.coefficients = fit_light(
            self._part,
            self._face.setup.space,
            self.light,
            self.coefficients,
            self._anchor,
            reflection,
            texture,
            self._config,
            self.history,
        )

    def _fill_texture(self) -> None:
        with torch.no_grad():
            statistical = self.problem.albedo_linear(self.coefficients)
            arriving = irradiance(self.problem.tables, self.light)
            reflected = self._glossy()
            tone = self.problem.tone(self.problem.albedo_linear(self._anchor))
        self._texture.fit(self.problem, statistical, tone, arriving, reflected, self._config, self.history)

    @torch.no_grad()
    def albedo_linear(self) -> Float[Tensor, "sample 3"]:
        """Diffuse albedo of the samples."""
        return self.problem.albedo_linear(self.coefficients) * self._texture(self.problem.uv)

    @torch.no_grad()
    def radiance(self) -> Float[Tensor, "sample 3"]:
        """What the camera sees of the samples."""
        materials = self._materials()
        return shade(self.problem.tables, self.light, self.albedo_linear(), materials.f0, materials.roughness)

    @torch.no_grad()
    def answer(self, start: FittedFace, atlas: Atlas) -> RaytracedFace:
        """What was found, over the whole head.

        Args:
            start: What the search began with.
            atlas: The head's texture space, at the resolution of the maps.
        """
        surface, setup = self._face.surface, self._face.setup
        parameters = replace(start.parameters, albedo=self.coefficients[None])
        statistical = self._model.albedo_linear(parameters.albedo)[0]
        found = self._texture.raw
        maps = skin_maps(
            self._model,
            atlas,
            statistical.clamp(min=0.01),
            found,
            self.problem,
            self._vertex_materials,
            self._factors.raw,
        )
        detail = start.detail
        if detail is not None:
            # The start's free albedo had shadows in it.
            added = torch.from_numpy(maps.vertex_albedo_linear).to(statistical) - statistical
            detail = replace(detail, albedo_linear=added[None])
        appearance = Appearance(
            diffuse_linear=maps.diffuse_linear,
            specular_f0=maps.specular_f0,
            roughness=maps.roughness,
            normal=_flat_normals(len(maps.known)),
            known=maps.known,
            environment_linear=setup.environment_linear(self.light).numpy(),
            lamps=setup.lamps(self.light),
            tone_sd=_TONE_SD,
        )
        return RaytracedFace(
            fitted=replace(start, parameters=parameters, detail=detail),
            appearance=appearance,
            rendered_linear=surface.pixel_mean(self.radiance().cpu()),
            mask=surface.pixel_mean(self.problem.weight.cpu()[:, None])[..., 0],
            albedo_linear=surface.pixel_mean(self.albedo_linear().cpu()),
        )

    def _believe(self, unoccluded: Float[Tensor, " sample"]) -> None:
        """Weigh samples by how well they are seen and how surely they are skin."""
        self.problem = replace(self.problem, weight=self._face.skin.weight * unoccluded)
        self._part = self.problem.part(self._chosen)
        self._texture.look(self.problem)

    def _materials(self) -> Materials:
        return changed(self._base, self._factors(self.problem.regions, self.problem.uv))

    @torch.no_grad()
    def _glossy(self) -> Float[Tensor, "sample 3"]:
        now = self._materials()
        return glossy(self.problem.tables, self.light, now.f0, now.roughness)

    @torch.no_grad()
    def _reflection(self) -> Float[Tensor, "some light"]:
        """Glossy transport of the chosen samples with the materials as they are."""
        tables, now = self._part.tables, self._materials()
        f0, roughness = now.f0[self._chosen], now.roughness[self._chosen]
        wide = mixed_levels(tables.roughness_levels, tables.specular, tables.grazing, f0, roughness)
        return wide if tables.spread is None else wide @ tables.spread


def _flat_normals(size: int) -> Float[np.ndarray, "texture texture 3"]:
    normals = np.zeros((size, size, 3), np.float32)
    normals[..., 2] = 1.0
    return normals
