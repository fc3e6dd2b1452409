"""`PixelSurface`: the samples of the head that the camera sees, and what is known about the surface there."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from common.tensor_groups import map_tensors
from model.geometry.mesh import face_normals, vertex_normals
from model.refine.raytrace.ray_queries import RayQueries

OFFSET_MM = 0.2
"""How far above the surface rays start: more than float32 leaves of a head at arm's length, less than a fold."""


@dataclass(frozen=True)
class HeadGeometry:
    """The head as it stands before the camera.

    Attributes:
        vertices_mm: Camera space.
        faces: Triangles of the whole head, counter-clockwise seen from outside.
        uv: Texture coordinates in [0, 1], v up.
        uv_faces: The triangles' texture vertices.
    """

    vertices_mm: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    uv: Float[Tensor, "texture 2"]
    uv_faces: Int[Tensor, "face 3"]

    @property
    def middle_mm(self) -> Float[Tensor, "3"]:
        """Mean of the vertices: what lamps face (`model.look.appearance.Lamp`)."""
        return self.vertices_mm.detach().float().cpu().mean(0)


@dataclass(frozen=True)
class ShadingPoints:
    """Points that light arrives at.

    Attributes:
        position_mm: Camera space.
        normal: Unit normals that light is weighed with, interpolated between the vertices of the whole welded mesh.
        geometric_normal: Unit normals of the triangles: where rays leave.
    """

    position_mm: Float[Tensor, "sample 3"]
    normal: Float[Tensor, "sample 3"]
    geometric_normal: Float[Tensor, "sample 3"]

    def __len__(self) -> int:
        """Number of points."""
        return len(self.position_mm)

    def part(self, which: slice | Bool[Tensor, " sample"]) -> "ShadingPoints":
        """Some of the points."""
        return map_tensors(self, lambda values: values[which])


@dataclass(frozen=True)
class PixelSurface:
    """P samples of the surface, in the order of their pixels.

    Attributes:
        points: Place and normals.
        view: Unit vectors towards the camera.
        pixel_index: `row * size_px + column` of each sample.
        face_index: Triangle.
        barycentric: Weights of its corners.
        uv: Texture coordinates, v up.
        size_px: Side of the picture.
        samples_per_pixel: How many samples a wholly covered pixel has.
        geometry: The head.
    """

    points: ShadingPoints
    view: Float[Tensor, "sample 3"]
    pixel_index: Int[Tensor, " sample"]
    face_index: Int[Tensor, " sample"]
    barycentric: Float[Tensor, "sample 3"]
    uv: Float[Tensor, "sample 2"]
    size_px: int
    samples_per_pixel: int
    geometry: HeadGeometry

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.view)

    def interpolate(self, vertex_values: Float[Tensor, "vertex channel"]) -> Float[Tensor, "sample channel"]:
        """Values given per vertex, at the samples; differentiable."""
        corners = self.geometry.faces.long()[self.face_index.long()]
        return (vertex_values[corners] * self.barycentric[..., None]).sum(1)

    def coverage(self) -> Float[Tensor, "size size"]:
        """Share of each pixel's samples that lie on the surface, [0, 1]."""
        count = torch.bincount(self.pixel_index, minlength=self.size_px**2)
        return count.to(self.view.dtype).div(self.samples_per_pixel).view(self.size_px, self.size_px)

    def pixel_mean(self, values: Float[Tensor, "sample channel"]) -> Float[Tensor, "size size channel"]:
        """The mean over each pixel's samples, 0 where it has none; differentiable."""
        total = values.new_zeros(self.size_px**2, values.shape[1]).index_add(0, self.pixel_index, values)
        count = torch.bincount(self.pixel_index, minlength=self.size_px**2).clamp(min=1)
        return (total / count[:, None]).view(self.size_px, self.size_px, -1)

    def kept(self, keep: Bool[Tensor, " sample"]) -> "PixelSurface":
        """Only the samples of a mask."""
        return _selected(self, keep)


def pixel_surface(
    geometry: HeadGeometry,
    rays: RayQueries,
    intrinsics_px: Float[Tensor, "3 3"],
    size_px: int,
    samples_per_side: int = 1,
    keep_faces: Bool[Tensor, " face"] | None = None,
    min_cosine: float = 0.0,
) -> PixelSurface:
    """Send the camera's rays at the head.

    Args:
        geometry: The head.
        rays: The ray tracer over the same head; all of it, so that hair-thin lids hide the eye behind them.
        intrinsics_px: Camera of the picture, `model.geometry.camera`.
        size_px: Side of the picture.
        samples_per_side: n x n rays per pixel, at the centres of its n x n cells.
        keep_faces: Triangles whose samples are wanted; all if None.
        min_cosine: Samples whose shading normal stands nearer to the picture's plane than this cosine of its angle
            with the view are left out, and those that face away always.

    Returns:
        The samples.
    """
    pixel_index, view_rays = _camera_rays(intrinsics_px, size_px, samples_per_side)
    hits = rays.first_hit(np.zeros_like(view_rays), view_rays)
    seen = torch.from_numpy(hits.face_index >= 0)
    if keep_faces is not None:
        seen &= keep_faces.cpu()[torch.from_numpy(hits.face_index).long()]
    face_index = torch.from_numpy(hits.face_index)[seen].long()
    barycentric = torch.from_numpy(hits.barycentric)[seen].clamp(min=0.0)
    points = points_on_faces(geometry, face_index, barycentric)
    uv = (geometry.uv.cpu()[geometry.uv_faces.cpu().long()[face_index]] * barycentric[..., None]).sum(1)
    surface = PixelSurface(
        points=points,
        view=normalize(-points.position_mm, dim=-1),
        pixel_index=torch.from_numpy(pixel_index)[seen],
        face_index=face_index,
        barycentric=barycentric,
        uv=uv,
        size_px=size_px,
        samples_per_pixel=samples_per_side**2,
        geometry=geometry,
    )
    facing = (points.normal * surface.view).sum(-1) > min_cosine
    return _selected(surface, facing & ((points.geometric_normal * surface.view).sum(-1) > 0.0))


def points_on_faces(
    geometry: HeadGeometry, face_index: Int[Tensor, " sample"], barycentric: Float[Tensor, "sample 3"]
) -> ShadingPoints:
    """Place and normals of points given by triangle and barycentric weights."""
    vertices_mm, faces = geometry.vertices_mm.detach().float().cpu(), geometry.faces.cpu().long()
    corners, weights = faces[face_index], barycentric[..., None]
    normals = vertex_normals(vertices_mm[None], faces)[0]
    return ShadingPoints(
        position_mm=(vertices_mm[corners] * weights).sum(1),
        normal=normalize((normals[corners] * weights).sum(1), dim=-1),
        geometric_normal=normalize(face_normals(vertices_mm[None], faces)[0], dim=-1)[face_index],
    )


def points_at_vertices(geometry: HeadGeometry) -> ShadingPoints:
    """The vertices as points; their two normals are the same."""
    vertices_mm = geometry.vertices_mm.detach().float().cpu()
    normals = vertex_normals(vertices_mm[None], geometry.faces.cpu())[0]
    return ShadingPoints(vertices_mm, normals, normals)


def offset_origins(points: ShadingPoints) -> Float[np.ndarray, "sample 3"]:
    """Where rays that leave the points start: a little above the triangle."""
    return (points.position_mm + OFFSET_MM * points.geometric_normal).numpy()


def _camera_rays(
    intrinsics_px: Float[Tensor, "3 3"], size_px: int, samples_per_side: int
) -> tuple[Int[np.ndarray, " ray"], Float[np.ndarray, "ray 3"]]:
    """Pixel and unit direction of each ray, the samples of a pixel one after the other."""
    fx, fy = float(intrinsics_px[0, 0]), float(intrinsics_px[1, 1])
    cx, cy = float(intrinsics_px[0, 2]), float(intrinsics_px[1, 2])
    within = (np.arange(samples_per_side) + 0.5) / samples_per_side
    row, column, y, x = np.meshgrid(np.arange(size_px), np.arange(size_px), within, within, indexing="ij")
    directions = np.stack(
        (((column + x).ravel() - cx) / fx, (cy - (row + y).ravel()) / fy, np.full(row.size, -1.0)), axis=1
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (row * size_px + column).ravel(), directions.astype(np.float32)


def _selected(surface: PixelSurface, keep: Bool[Tensor, " sample"]) -> PixelSurface:
    return PixelSurface(
        points=surface.points.part(keep),
        view=surface.view[keep],
        pixel_index=surface.pixel_index[keep],
        face_index=surface.face_index[keep],
        barycentric=surface.barycentric[keep],
        uv=surface.uv[keep],
        size_px=surface.size_px,
        samples_per_pixel=surface.samples_per_pixel,
        geometry=surface.geometry,
    )
