"""One head under many lights: how far its skin comes out the same, and right, whatever light it was photographed in.

The heads are those of the benchmark, of known albedo. Their light transport is traced once, so that a photograph more
costs a second and not twenty; the lights are those of the benchmark as well, written down in narrow lobes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from evaluation.inverse_rendering.faces import PLANS, TEXTURE_PX, FacePlan, as_photograph, draw_head, exposure, painted
from evaluation.inverse_rendering.lights import SceneLight, hard_light, smooth_light
from evaluation.inverse_rendering.truth import judged_texels, looked_up, on_texel_grid
from inference.refine import to_reconstruction
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.face.regions import any_region
from model.look.atlas import Atlas, build_atlas
from model.look.materials import statistical_materials
from model.reconstructor import Reconstruction
from model.refine.face import FittedFace
from model.refine.raytrace.config import LightConfig
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_basis import fibonacci_directions
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.materials import on_skin, sample_texture
from model.refine.raytrace.pixel_surface import HeadGeometry, pixel_surface
from model.refine.raytrace.transport_tables import shade
from training.relief import Relief

Photograph = UInt8[np.ndarray, "size size 3"]
Albedo = Float[np.ndarray, "texture texture 3"]

AskedForSkin = Callable[[Photograph, FittedFace], dict[str, Albedo] | None]
"""What is measured: from a photograph, and the true head before the true camera, to diffuse albedos over the texture
space, by name; None where no face is found."""

_SIZE_PX = 256
_TRACED_DIRECTIONS = 512
_SEED = 33
_LOBES = 512


@dataclass(frozen=True)
class SkinUnderLights:
    """How one way to find the skin did on one head.

    Attributes:
        plan: What the head was drawn by.
        name: The way.
        lights: How many photographs had a face found in them.
        error: Root mean square of found minus true albedo over the true albedo's mean, over texels and lights.
        error_scaled: The same after the best common gain of each photograph: without the tone, which no single
            photograph tells.
        spread: Root mean square over texels of the standard deviation of the found albedo over the lights, over the
            true albedo's mean.
        spread_scaled: The same after each photograph's best gain.
    """

    plan: FacePlan
    name: str
    lights: int
    error: float
    error_scaled: float
    spread: float
    spread_scaled: float


def skins_under_lights(
    model: MorphableModel, hierarchy: MeshHierarchy, ask: AskedForSkin, *, heads: int, lights: int
) -> Iterator[SkinUnderLights]:
    """Photograph heads under many lights and compare what is found with what they are.

    Args:
        model: The head model.
        hierarchy: Of its mesh, for shapes that the model cannot make.
        ask: What is measured.
        heads: How many of `PLANS`, from dark to light skin.
        lights: How many lights; every other one has small lamps that throw hard shadows.

    Yields:
        One figure for each head and way.
    """
    for number, plan in enumerate(PLANS[:heads]):
        head, truth, judged, photographs = _photographed(number, plan, model, hierarchy, lights)
        found: dict[str, list[np.ndarray]] = {}
        for photograph in photographs:
            for name, albedo in (ask(photograph, head) or {}).items():
                found.setdefault(name, []).append(on_texel_grid(albedo)[judged])
        for name, albedos in found.items():
            yield _figures(plan, name, np.stack(albedos).astype(np.float64), truth[judged].astype(np.float64))


def with_true_shape(answer: Reconstruction, head: FittedFace, model: MorphableModel) -> Reconstruction:
    """The network's albedo and light on the true head before the true camera.

    With its own shape brows and lips lie some millimetres aside, which weighs more than what is measured here.
    """
    detail = head.detail
    if detail is not None and answer.detail is not None:
        detail = replace(detail, albedo_linear=answer.detail.albedo_linear)
    found = answer.parameters
    parameters = replace(head.parameters, albedo=found.albedo, lighting=found.lighting)
    return to_reconstruction(replace(head, parameters=parameters, detail=detail), model, head.intrinsics_px)


def format_skins(results: list[SkinUnderLights]) -> str:
    """A table: a row for each way and head, and the mean over the heads."""
    lines = [f"{'':<24}{'tone':>6}{'lights':>8}{'error':>9}{'scaled':>9}{'spread':>9}{'scaled':>9}"]
    for name in dict.fromkeys(result.name for result in results):
        of_name = [result for result in results if result.name == name]
        for result in of_name:
            lines.append(_line(result.name, f"{result.plan.tone:.2f}", result.lights, _values(result)))
        mean = np.mean([_values(result) for result in of_name], axis=0)
        lines.append(_line(name, "mean", sum(result.lights for result in of_name), mean))
    return "\n".join(lines)


def _line(name: str, tone: str, lights: int, values: Float[np.ndarray, "4"]) -> str:
    return f"{name:<24}{tone:>6}{lights:>8}" + "".join(f"{value:>9.3f}" for value in values)


def _values(result: SkinUnderLights) -> Float[np.ndarray, "4"]:
    return np.array([result.error, result.error_scaled, result.spread, result.spread_scaled])


def _figures(
    plan: FacePlan, name: str, found: Float[np.ndarray, "light texel 3"], true: Float[np.ndarray, "texel 3"]
) -> SkinUnderLights:
    level = float(true.mean())
    gains = (found * true).sum((1, 2)) / np.maximum((found**2).sum((1, 2)), 1e-12)
    scaled = gains[:, None, None] * found
    return SkinUnderLights(
        plan,
        name,
        len(found),
        error=float(np.sqrt(((found - true) ** 2).mean())) / level,
        error_scaled=float(np.sqrt(((scaled - true) ** 2).mean())) / level,
        spread=float(np.sqrt(found.var(0).mean())) / level,
        spread_scaled=float(np.sqrt(scaled.var(0).mean())) / level,
    )


@torch.no_grad()
def _photographed(
    number: int, plan: FacePlan, model: MorphableModel, hierarchy: MeshHierarchy, lights: int
) -> tuple[FittedFace, Float[np.ndarray, "texel texel 3"], Bool[np.ndarray, "texel texel"], list[Photograph]]:
    """The head, its true albedo, the texels that count, and the photographs."""
    random = np.random.default_rng([_SEED, number])
    atlas = build_atlas(model, TEXTURE_PX)
    head = draw_head(plan, model, Relief(model, hierarchy), random, _SIZE_PX)
    skin = painted(plan, head, model, atlas, random)
    mesh = head.mesh(model)
    geometry = HeadGeometry(mesh.vertices_camera_mm[0], model.faces, model.uv, model.uv_faces)
    rays = EmbreeRays(geometry.vertices_mm.numpy(), model.faces.numpy())
    surface = pixel_surface(geometry, rays, head.intrinsics_px, _SIZE_PX)
    setup = LightSetup(LightConfig(gaussians=_LOBES, directions=_TRACED_DIRECTIONS), geometry.middle_mm)
    albedo_linear = model.albedo_linear(head.parameters.albedo)[0].clamp(0.01, 1.0)
    tables = setup.tables(surface, rays, albedo_linear)
    maps = np.dstack((skin.diffuse_linear, skin.specular_f0, skin.roughness)).astype(np.float32)
    at_samples = sample_texture(torch.from_numpy(np.ascontiguousarray(maps)), surface.uv)
    # What is no skin has no map.
    other = statistical_materials(model)
    of_vertices = torch.cat((albedo_linear, torch.stack((other.f0, other.roughness), dim=1)), dim=1)
    at_samples = torch.where(on_skin(surface.uv)[:, None], at_samples, surface.interpolate(of_vertices))
    judged = judged_texels(model, geometry, head.intrinsics_px, _SIZE_PX) & ~_beside_eyes(model, atlas)
    photographs = []
    for which in range(lights):
        light = _in_lobes(_light(which, head, geometry, random), geometry.middle_mm)
        seen = shade(tables, light, at_samples[:, :3], at_samples[:, 3], at_samples[:, 4])
        picture = surface.pixel_mean(seen).numpy()
        coverage = surface.coverage().numpy()
        skin_level = float(picture[coverage > 0.0].mean())
        photographs.append(as_photograph(picture * (exposure(plan) / skin_level), coverage, random))
    return head, on_texel_grid(skin.diffuse_linear), judged, photographs


def _beside_eyes(model: MorphableModel, atlas: Atlas) -> Bool[np.ndarray, "texel texel"]:
    """Texels of lids: a pixel is a millimetre wide, and the white of the eye is many times as bright as dark skin."""
    lids = any_region(model, "eyelids").float()[:, None].numpy()
    return on_texel_grid(atlas.sample(lids)[atlas.nearest]) > 0.01


def _light(which: int, head: FittedFace, geometry: HeadGeometry, random: np.random.Generator) -> SceneLight:
    if which % 2 == 0:
        return smooth_light(random)
    lamps = 1 + which % 4 // 2
    return hard_light(random, geometry.middle_mm.numpy(), head.parameters.rotation[0].numpy(), lamps)


def _in_lobes(light: SceneLight, middle_mm: Float[Tensor, "3"]) -> Float[Tensor, "lobe 3"]:
    """A light as coefficients of narrow lobes; a lamp lies in the lobe nearest to it."""
    axes = fibonacci_directions(_LOBES)
    coefficients = looked_up(light.environment_linear, axes).float().clone()
    for lamp in light.lamps:
        towards = torch.from_numpy(lamp.position_mm) - middle_mm
        nearest = int((axes @ towards).argmax())
        strength = torch.from_numpy(lamp.radiance_linear) * (lamp.radius_mm**2 / float(towards.square().sum()))
        # Each of the lobes is a share of 4 / count of what a light of radiance 1 from everywhere gives.
        coefficients[nearest] += strength * (_LOBES / 4.0)
    return coefficients
