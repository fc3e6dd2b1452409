"""What is known per texel of a benchmark face: which texels count, their albedo, and the shadows that lie on them."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin, triangles_of
from model.geometry.mesh import vertex_normals
from model.look.appearance import Appearance
from model.look.atlas import build_atlas
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_basis import fibonacci_directions
from model.refine.raytrace.pixel_surface import HeadGeometry, ShadingPoints, offset_origins
from model.refine.raytrace.ray_queries import RayQueries
from model.render.color import luminance

TEXEL_GRID = 256
"""Side of the grid that maps are compared on: about the resolution of the photograph."""

LEAST_COSINE = 0.35
_ENVIRONMENT_DIRECTIONS, _DISC_POINTS = 512, 32


@dataclass(frozen=True)
class TexelTruth:
    """Over `TEXEL_GRID` texels, row 0 is v = 1.

    Attributes:
        judged: Skin of the face that the camera sees at a cosine of `LEAST_COSINE` or more.
        diffuse_linear: True diffuse albedo.
        lit_share: Luminance of the direct light that arrives, over that of the same light without shadows; 1 on
            texels that are not judged.
    """

    judged: Bool[np.ndarray, "texel texel"]
    diffuse_linear: Float[np.ndarray, "texel texel 3"]
    lit_share: Float[np.ndarray, "texel texel"]


def texel_truth(
    model: MorphableModel,
    geometry: HeadGeometry,
    appearance: Appearance,
    intrinsics_px: Float[Tensor, "3 3"],
    size_px: int,
) -> TexelTruth:
    """Trace camera and light to the texels of the true head."""
    covered, points, judged = _judged(model, geometry, intrinsics_px, size_px)
    rays = EmbreeRays(geometry.vertices_mm.numpy(), model.faces.numpy())
    seen = points.part(judged)
    lit_share = torch.ones(len(judged))
    lit_share[judged] = _lit_share(seen, rays, appearance, geometry.vertices_mm.mean(0))
    return TexelTruth(
        judged=_picture(judged.numpy(), covered, False),
        diffuse_linear=on_texel_grid(appearance.diffuse_linear),
        lit_share=_picture(lit_share.numpy(), covered, np.float32(1.0)),
    )


def judged_texels(
    model: MorphableModel, geometry: HeadGeometry, intrinsics_px: Float[Tensor, "3 3"], size_px: int
) -> Bool[np.ndarray, "texel texel"]:
    """Which texels of a head count, whatever its light: skin of the face, well seen by the camera."""
    covered, _, judged = _judged(model, geometry, intrinsics_px, size_px)
    return _picture(judged.numpy(), covered, False)


def _judged(
    model: MorphableModel, geometry: HeadGeometry, intrinsics_px: Float[Tensor, "3 3"], size_px: int
) -> tuple[Bool[np.ndarray, "texel texel"], ShadingPoints, Bool[Tensor, " sample"]]:
    """The texels on the head, where they lie, and which of them count."""
    atlas = build_atlas(model, TEXEL_GRID)
    vertices_mm = geometry.vertices_mm[None]
    normals = vertex_normals(vertices_mm, model.faces)[0].numpy()

    skin = _vertices_of(face_triangles(model), model).astype(np.float32)[:, None]
    sampled = atlas.sample(np.concatenate((geometry.vertices_mm.numpy(), normals, skin), axis=1))
    position_mm, normal, is_skin = (
        torch.from_numpy(np.ascontiguousarray(part)).float() for part in np.split(sampled, (3, 6), axis=1)
    )
    # On a mesh this fine the triangles' own normals make no difference that would count here.
    points = ShadingPoints(position_mm, normalize(normal, dim=-1), normalize(normal, dim=-1))
    rays = EmbreeRays(geometry.vertices_mm.numpy(), model.faces.numpy())
    judged = (is_skin[:, 0] > 0.999) & _seen(points, rays, intrinsics_px, size_px)
    return atlas.covered, points, judged


def on_texel_grid(values: Float[np.ndarray, "texture texture channel"]) -> Float[np.ndarray, "texel texel channel"]:
    """A map averaged (or, if it is coarser, interpolated) on the grid of the comparison."""
    method = cv2.INTER_AREA if len(values) > TEXEL_GRID else cv2.INTER_LINEAR
    return cv2.resize(np.asarray(values, np.float32), (TEXEL_GRID, TEXEL_GRID), interpolation=method)


def face_triangles(model: MorphableModel) -> Bool[Tensor, " face"]:
    """Triangles of the face's skin, lips and lids included."""
    return triangles_of(model, facial_skin(model))


def _seen(
    points: ShadingPoints, rays: RayQueries, intrinsics_px: Float[Tensor, "3 3"], size_px: int
) -> Bool[Tensor, " sample"]:
    towards = -points.position_mm
    distance_mm = towards.norm(dim=-1)
    directions = towards / distance_mm[:, None]
    hidden = rays.occluded(offset_origins(points), directions.numpy(), (distance_mm - 1.0).numpy())
    facing = ((points.normal * directions).sum(-1) > LEAST_COSINE) & (
        (points.geometric_normal * directions).sum(-1) > 0.0
    )
    x_px = intrinsics_px[0, 0] * points.position_mm[:, 0] / -points.position_mm[:, 2] + intrinsics_px[0, 2]
    y_px = intrinsics_px[1, 2] - intrinsics_px[1, 1] * points.position_mm[:, 1] / -points.position_mm[:, 2]
    inside = (x_px > 1.0) & (x_px < size_px - 1.0) & (y_px > 1.0) & (y_px < size_px - 1.0)
    return facing & inside & ~torch.from_numpy(hidden)


def _lit_share(
    points: ShadingPoints, rays: RayQueries, appearance: Appearance, target_mm: Float[Tensor, "3"]
) -> Float[Tensor, " sample"]:
    """Direct light with shadows over direct light without."""
    arriving, unshadowed = torch.zeros(len(points)), torch.zeros(len(points))
    origins_mm = offset_origins(points)

    def add(direction: Float[Tensor, "sample 3"], strength: Tensor, distance_mm: np.ndarray | None) -> None:
        light = strength * (points.normal * direction).sum(-1).clamp(min=0.0)
        rays_to = np.ascontiguousarray(direction.numpy())
        free = (points.geometric_normal * direction).sum(-1) > 0.0
        free &= ~torch.from_numpy(rays.occluded(origins_mm, rays_to, distance_mm))
        unshadowed.add_(light)
        arriving.add_(light * free)

    directions = fibonacci_directions(_ENVIRONMENT_DIRECTIONS)
    radiance = luminance(looked_up(appearance.environment_linear, directions))
    for direction, strength in zip(directions, radiance * (4.0 * math.pi / len(directions)), strict=True):
        add(direction.expand(len(points), 3), strength, None)
    for lamp in appearance.lamps:
        centre_mm = torch.from_numpy(lamp.position_mm)
        axis = normalize(centre_mm - target_mm, dim=0)
        area, strength = math.pi * lamp.radius_mm**2 / _DISC_POINTS, luminance(torch.from_numpy(lamp.radiance_linear))
        for place_mm in _disc_points(centre_mm, axis, lamp.radius_mm):
            towards = place_mm - points.position_mm
            distance_mm = towards.norm(dim=-1)
            direction = towards / distance_mm[:, None]
            leaving = (direction @ axis).clamp(min=0.0)
            add(direction, strength * area * leaving / distance_mm**2, (distance_mm - 1.0).numpy())
    return torch.where(unshadowed > 0.0, arriving / unshadowed.clamp(min=1e-9), 1.0)


def _disc_points(centre_mm: Tensor, axis: Tensor, radius_mm: float) -> Float[Tensor, "point 3"]:
    other = torch.tensor([1.0, 0.0, 0.0]) if abs(float(axis[0])) < 0.7 else torch.tensor([0.0, 1.0, 0.0])
    across = normalize(torch.linalg.cross(axis, other), dim=0)
    up = torch.linalg.cross(axis, across)
    index = torch.arange(_DISC_POINTS)
    radius, angle = radius_mm * ((index + 0.5) / _DISC_POINTS).sqrt(), index * (math.pi * (3.0 - math.sqrt(5.0)))
    return centre_mm + (radius * angle.cos())[:, None] * across + (radius * angle.sin())[:, None] * up


def looked_up(
    environment_linear: Float[np.ndarray, "rows columns 3"], directions: Float[Tensor, "direction 3"]
) -> Float[Tensor, "direction 3"]:
    """Radiance of an environment in directions of camera space, of the nearest pixel."""
    rows, columns, _ = environment_linear.shape
    x, y, z = directions.unbind(-1)
    row = (y.clamp(-1.0, 1.0).acos() / math.pi * rows).long().clamp(0, rows - 1)
    column = ((torch.atan2(x, -z) / (2.0 * math.pi) + 0.5) * columns).long().clamp(0, columns - 1)
    return torch.from_numpy(environment_linear)[row, column]


def _vertices_of(triangles: Bool[Tensor, " face"], model: MorphableModel) -> Bool[np.ndarray, " vertex"]:
    found = torch.zeros(len(model.mean_mm), dtype=torch.bool)
    found[model.faces[triangles].long().unique()] = True
    return found.numpy()


def _picture(values: np.ndarray, covered: Bool[np.ndarray, "texel texel"], empty: bool | np.floating) -> np.ndarray:
    picture = np.full(covered.shape, empty, values.dtype)
    picture[covered] = values
    return picture
