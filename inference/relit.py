"""`relit.jpg`: the head in three environments and under one lamp that turns about it, with its own shadows."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

from common.atomic import atomic_path
from inference.before_after import as_bytes, over_background, titled
from inference.refined import Raytraced, RefinedFace
from model.export.appearance import Appearance, Lamp
from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.environments import AMBIENT_OF_TURNING_LIGHT, ENVIRONMENTS, turning_light
from model.refine.raytrace.relight import RelightConfig, SurfaceReflectance, relight
from model.refine.raytrace.surface import HeadGeometry, PixelSurface, pixel_surface
from model.render.color import linear_to_srgb

_PLACES = 4
"""Of the turning lamp."""
_SAMPLES_PER_SIDE = 2
_CARE = RelightConfig(directions=96, lamp_samples=8, bounce_directions=16)


@torch.no_grad()
def write_relit(
    refined: RefinedFace, raytraced: Raytraced, morphable_model: MorphableModel, size_px: int, path: Path
) -> None:
    """Draw the strip as a JPEG.

    Args:
        refined: The face.
        raytraced: Its skin.
        morphable_model: Its head.
        size_px: Side of each picture.
        path: The file.

    Raises:
        ImportError: If there is nothing to trace rays with.
    """
    geometry = head_geometry(refined, morphable_model)
    rays = EmbreeRays(geometry.vertices_mm.numpy(), geometry.faces.numpy())
    scale = size_px / refined.crop.size_px
    camera = crop_intrinsics(refined.fitted.intrinsics_px.cpu(), 0.0, 0.0, scale)
    surface = pixel_surface(geometry, rays, camera, size_px, _SAMPLES_PER_SIDE)
    reflectance = sample_appearance(raytraced.appearance, surface)
    mesh_albedo = refined.fitted.mesh(morphable_model).albedo_linear[0].cpu()

    def lit(light: Float[Tensor, "rows columns 3"], *lamps: Lamp) -> Float[Tensor, "size size 3"]:
        return relight(surface, rays, reflectance, light, lamps, _CARE, mesh_albedo)

    ambient = torch.full((8, 16, 3), AMBIENT_OF_TURNING_LIGHT)
    pictures = {name: lit(environment()) for name, environment in ENVIRONMENTS.items()}
    for step in range(_PLACES):
        pictures[f"lamp {step + 1}"] = lit(ambient, turning_light(step, _PLACES, geometry.middle_mm))
    mask = surface.coverage()[..., None]
    tiles = [
        titled(as_bytes(over_background(linear_to_srgb(picture.clamp(0.0, 1.0)), mask)), name)
        for name, picture in pictures.items()
    ]
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(tiles, axis=1)).save(temporary, "JPEG", quality=92)


def head_geometry(refined: RefinedFace, morphable_model: MorphableModel) -> HeadGeometry:
    """The refined head, on the CPU."""
    return HeadGeometry(
        vertices_mm=refined.fitted.mesh(morphable_model).vertices_camera_mm[0].detach().cpu(),
        faces=morphable_model.faces.cpu(),
        uv=morphable_model.uv.cpu(),
        uv_faces=morphable_model.uv_faces.cpu(),
    )


def sample_appearance(appearance: Appearance, surface: PixelSurface) -> SurfaceReflectance:
    """The maps at the samples of a surface, between the texels' centres linearly."""
    maps = np.concatenate(
        (appearance.diffuse_linear, appearance.specular_f0[..., None], appearance.roughness[..., None]), axis=-1
    )
    # Row 0 is v = 1.
    places = torch.stack((2.0 * surface.uv[:, 0] - 1.0, 1.0 - 2.0 * surface.uv[:, 1]), dim=-1)
    picture = torch.from_numpy(maps).float().permute(2, 0, 1)[None]
    values = grid_sample(picture, places[None, None], "bilinear", "border", align_corners=False)[0, :, 0].T
    return SurfaceReflectance(values[:, :3], values[:, 3], values[:, 4])
