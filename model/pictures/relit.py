"""The head in three environments and under one lamp that turns about it, with its own shadows: `relit.jpg`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, max_pool2d

from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics
from model.look.appearance import Appearance, Lamp
from model.look.materials import statistical_materials
from model.pictures.drawing import as_bytes, over_background, titled, to_srgb
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.environments import AMBIENT_OF_TURNING_LIGHT, ENVIRONMENTS, turning_light
from model.refine.raytrace.materials import on_skin
from model.refine.raytrace.pixel_surface import HeadGeometry, PixelSurface, pixel_surface
from model.refine.raytrace.relight import RelightConfig, SurfaceReflectance, relight
from model.refine.refined import Raytraced, RefinedFace

_PLACES = 4
"""Of the turning lamp."""
_SAMPLES_PER_SIDE = 2
_CARE = RelightConfig(directions=96, lamp_samples=8, bounce_directions=16)
_CARE_OF_ONE_PICTURE = RelightConfig(directions=256, lamp_samples=8, bounce_directions=32)


@torch.no_grad()
def draw_relit(
    refined: RefinedFace, raytraced: Raytraced, morphable_model: MorphableModel, size_px: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the strip.

    Args:
        refined: The face.
        raytraced: Its skin.
        morphable_model: Its head.
        size_px: Side of each picture.

    Raises:
        ImportError: If there is nothing to trace rays with.
    """
    scene = _Scene.of(refined, raytraced, morphable_model, size_px, _SAMPLES_PER_SIDE)
    ambient = torch.full((8, 16, 3), AMBIENT_OF_TURNING_LIGHT)
    pictures = {name: scene.lit(environment(), (), _CARE) for name, environment in ENVIRONMENTS.items()}
    for step in range(_PLACES):
        lamp = turning_light(step, _PLACES, scene.surface.geometry.middle_mm)
        pictures[f"lamp {step + 1}"] = scene.lit(ambient, (lamp,), _CARE)
    mask = _closed(scene.surface.coverage())[..., None]
    tiles = [titled(as_bytes(over_background(to_srgb(picture), mask)), name) for name, picture in pictures.items()]
    return np.concatenate(tiles, axis=1)


@torch.no_grad()
def in_own_light(
    refined: RefinedFace, raytraced: Raytraced, morphable_model: MorphableModel
) -> tuple[Float[Tensor, "size size 3"], Float[Tensor, "size size 3"]]:
    """The whole head in the window, in the light that was found, and its diffuse albedo; on the CPU."""
    scene = _Scene.of(refined, raytraced, morphable_model, refined.crop.size_px, 1)
    environment = torch.from_numpy(np.ascontiguousarray(raytraced.appearance.environment_linear)).float()
    image = scene.lit(environment, raytraced.appearance.lamps, _CARE_OF_ONE_PICTURE)
    return image, scene.filled(scene.surface.pixel_mean(scene.reflectance.albedo_linear))


@dataclass(frozen=True)
class _Scene:
    """A head before the window's camera, to be lit."""

    surface: PixelSurface
    rays: EmbreeRays
    reflectance: SurfaceReflectance
    vertex_albedo: Float[Tensor, "vertex 3"]

    @classmethod
    def of(
        cls,
        refined: RefinedFace,
        raytraced: Raytraced,
        morphable_model: MorphableModel,
        size_px: int,
        samples_per_side: int,
    ) -> "_Scene":
        geometry = head_geometry(refined, morphable_model)
        rays = EmbreeRays(geometry.vertices_mm.numpy(), geometry.faces.numpy())
        camera = crop_intrinsics(refined.fitted.intrinsics_px.cpu(), 0.0, 0.0, size_px / refined.crop.size_px)
        surface = pixel_surface(geometry, rays, camera, size_px, samples_per_side)
        vertex_albedo = refined.fitted.mesh(morphable_model).albedo_linear[0].cpu()
        reflectance = sample_appearance(raytraced.appearance, surface, vertex_albedo, morphable_model)
        return cls(surface, rays, reflectance, vertex_albedo)

    def lit(
        self, environment_linear: Float[Tensor, "rows columns 3"], lamps: Sequence[Lamp], care: RelightConfig
    ) -> Float[Tensor, "size size 3"]:
        lit = relight(self.surface, self.rays, self.reflectance, environment_linear, lamps, care, self.vertex_albedo)
        return self.filled(lit)

    def filled(self, picture: Float[Tensor, "size size 3"]) -> Float[Tensor, "size size 3"]:
        """Pixels whose samples all face away, beside the outline of a jaw, look like their neighbours."""
        seen = (self.surface.coverage() > 0.0).float()[None, None]
        layers = torch.cat((picture.permute(2, 0, 1)[None] * seen, seen), dim=1)
        around = avg_pool2d(layers, 3, stride=1, padding=1)[0]
        mean = (around[:3] / around[3:].clamp(min=1e-6)).permute(1, 2, 0)
        return torch.where(seen[0, 0, ..., None] > 0.0, picture, mean)


def _closed(coverage: Float[Tensor, "size size"]) -> Float[Tensor, "size size"]:
    """Without holes of a pixel or two."""
    grown = max_pool2d(coverage[None, None], 3, stride=1, padding=1)
    return -max_pool2d(-grown, 3, stride=1, padding=1)[0, 0]


def head_geometry(refined: RefinedFace, morphable_model: MorphableModel) -> HeadGeometry:
    """The refined head, on the CPU."""
    return HeadGeometry(
        vertices_mm=refined.fitted.mesh(morphable_model).vertices_camera_mm[0].detach().cpu(),
        faces=morphable_model.faces.cpu(),
        uv=morphable_model.uv.cpu(),
        uv_faces=morphable_model.uv_faces.cpu(),
    )


def sample_appearance(
    appearance: Appearance,
    surface: PixelSurface,
    vertex_albedo_linear: Float[Tensor, "vertex 3"],
    morphable_model: MorphableModel,
) -> SurfaceReflectance:
    """The maps at the samples of a surface, between the texels' centres linearly; statistics where it is no skin.

    Args:
        appearance: Maps of the skin.
        surface: Samples of the whole head.
        vertex_albedo_linear: Albedo of what is no skin.
        morphable_model: The head, for gloss and roughness of what is no skin.
    """
    maps = np.concatenate(
        (appearance.diffuse_linear, appearance.specular_f0[..., None], appearance.roughness[..., None]), axis=-1
    )
    # Row 0 is v = 1.
    places = torch.stack((2.0 * surface.uv[:, 0] - 1.0, 1.0 - 2.0 * surface.uv[:, 1]), dim=-1)
    picture = torch.from_numpy(maps).float().permute(2, 0, 1)[None]
    values = grid_sample(picture, places[None, None], "bilinear", "border", align_corners=False)[0, :, 0].T
    other = statistical_materials(morphable_model)
    of_vertices = torch.cat((vertex_albedo_linear, torch.stack((other.f0, other.roughness), dim=1).cpu()), dim=1)
    values = torch.where(on_skin(surface.uv)[:, None], values, surface.interpolate(of_vertices))
    return SurfaceReflectance(values[:, :3], values[:, 3], values[:, 4])
