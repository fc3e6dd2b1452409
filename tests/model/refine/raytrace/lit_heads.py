"""Photographs of a toy head with a cap in hard light, ray by ray: what the ray-traced stage should undo."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from model.face.morphable_model import MorphableModel
from model.refine.face import FaceCrop, FittedFace
from model.refine.raytrace.config import LightConfig, RaytraceConfig
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_basis import HarmonicLight
from model.refine.raytrace.pixel_surface import HeadGeometry, PixelSurface, offset_origins, pixel_surface
from model.refine.raytrace.raytraced_face import RaytracedFace
from model.refine.raytrace.visibility import diffuse_table, trace_visibility
from model.render.color import linear_to_srgb, luminance
from tests.model.refine.fit_scenes import drawn_face, landmarks_px
from tests.small_world import RADII_MM, crop_camera, toy_head

SIZE_PX = 64
LAMP = normalize(torch.tensor([0.25, 0.68, 0.69]), dim=0)
"""Direction of the lamp, camera space: a hard one from above."""
_BRIM_MM = np.array([[-55.0, 70.0, 55.0], [55.0, 70.0, 55.0], [-55.0, 72.0, 130.0], [55.0, 72.0, 130.0]])
SMALL = RaytraceConfig(
    light=LightConfig(gaussians=256, wide_gaussians=16, directions=512, bounce=False),
    texture_px=64,
    light_steps=20,
    texture_steps=60,
    material_steps=5,
    light_samples=800,
    sclera=None,
)
"""Settings for seconds."""


@dataclass(frozen=True)
class LitHead:
    """A photograph, what shows it without its shadows, and where they are.

    Attributes:
        head: The model.
        crop: The photograph.
        start: The true head before it, with the lighting of a fit that knows no shadow.
        surface: Its pixels.
        shadow: Samples that face the lamp and do not see it, because something throws its shadow on them.
        lit: Samples that see it.
    """

    head: MorphableModel
    crop: FaceCrop
    start: FittedFace
    surface: PixelSurface
    shadow: Tensor
    lit: Tensor

    def imprint(self, answer: RaytracedFace) -> float:
        """How much darker the albedo is in the cast shadow than in the light (log); the true one is even."""
        compared = answer.mask.flatten()[self.surface.pixel_index] > 0.5
        albedo = luminance(answer.albedo_linear).flatten()[self.surface.pixel_index].clamp(min=1e-3).log()
        shadow, lit = albedo[compared & self.shadow], albedo[compared & self.lit]
        assert min(len(shadow), len(lit)) > 100, "nothing to compare"
        return float(lit.median() - shadow.median())


@cache
def brimmed_head() -> MorphableModel:
    """The toy head under the brim of a cap, which throws a shadow over the eyes; even skin, no nose, no eyelids."""
    assets, count, corners = toy_head(), len(toy_head().vertices_mm), len(_BRIM_MM)
    unit = assets.vertices_mm / RADII_MM
    vertices_mm = unit / np.linalg.norm(unit, axis=1, keepdims=True) * RADII_MM
    corner = np.array([[0, 2, 1], [1, 2, 3]], np.int32)
    regions = {name: np.append(where, np.zeros(corners, bool)) for name, where in assets.regions.items()}
    for name in ("eyes", "left_eye", "right_eye", "eyelids"):
        regions[name] = np.zeros(count + corners, bool)

    def with_brim(basis: np.ndarray) -> np.ndarray:
        return np.concatenate((basis, np.zeros((len(basis), corners, 3), np.float32)), axis=1)

    return MorphableModel(
        replace(
            assets,
            vertices_mm=np.concatenate((vertices_mm, _BRIM_MM)).astype(np.float32),
            faces=np.concatenate((assets.faces, corner + count)),
            uv=np.concatenate((assets.uv, np.array([[0, 0], [0.02, 0], [0, 0.02], [0.02, 0.02]], np.float32))),
            uv_faces=np.concatenate((assets.uv_faces, corner + count)),
            identity_basis=with_brim(assets.identity_basis),
            expression_basis=with_brim(assets.expression_basis),
            albedo_mean=np.concatenate((assets.albedo_mean, assets.albedo_mean[:corners])),
            albedo_basis=0.3 * with_brim(assets.albedo_basis),
            mirror=np.append(assets.mirror, count + np.array([1, 0, 3, 2], np.int32)).astype(np.int32),
            regions=regions,
        )
    )


@cache
def lit_head(*, color: bool = True, lamp: float = 0.7, sky: float = 0.6) -> LitHead:
    """Take the photograph: even skin under a lamp without extent and a grey sky.

    Args:
        color: False for a black-and-white one.
        lamp: Irradiance of the lamp over pi.
        sky: Radiance from everywhere.
    """
    head = brimmed_head()
    drawn = drawn_face(head, yaw_rad=0.0)
    parameters = drawn.parameters
    flat = replace(parameters, identity=0.0 * parameters.identity, albedo=0.0 * parameters.albedo)
    start = replace(drawn, parameters=flat, intrinsics_px=crop_camera(1, SIZE_PX, 4.2)[0])
    mesh = start.mesh(head)
    geometry = HeadGeometry(mesh.vertices_camera_mm[0], head.faces, head.uv, head.uv_faces)
    rays = EmbreeRays(geometry.vertices_mm.numpy(), geometry.faces.numpy())
    surface = pixel_surface(geometry, rays, start.intrinsics_px, SIZE_PX)
    cosine = surface.points.normal @ LAMP
    free = ~torch.from_numpy(rays.occluded(offset_origins(surface.points), LAMP.expand(len(surface), 3).numpy()))
    seen = trace_visibility(surface.points, rays, 256)
    ambient = diffuse_table(surface.points, seen, HarmonicLight(1))[:, 0]
    arriving = lamp * cosine.clamp(min=0.0) * free + sky * ambient
    albedo = surface.interpolate(mesh.albedo_linear[0])
    picture = surface.pixel_mean(albedo * arriving[:, None])
    if not color:
        picture = luminance(picture)[..., None].expand_as(picture)
    crop = FaceCrop(
        image_srgb=linear_to_srgb(picture.clamp(0.0, 1.0)).permute(2, 0, 1).contiguous(),
        inside=torch.ones(SIZE_PX, SIZE_PX),
        color=color,
        intrinsics_px=start.intrinsics_px,
        landmarks68_px=landmarks_px(head, start),
        landmarks68_weight=torch.ones(68),
    )
    facing = cosine > 0.25
    return LitHead(head, crop, start, surface, facing & ~free, facing & free)
