"""How close a rasterizer's pictures and gradients of the released head come to those of the CPU rasterizer.

Two rasterizers may answer differently where a pixel's centre lies next to an edge: nvdiffrast moves vertices by up to
1/32 pixel when it decides who covers a centre. So triangles are compared away from edges, and gradients of the part of
a photometric loss that lies on pixels around which both see the same triangles. What is left of a gradient elsewhere
hangs on single triangles seen nearly edge-on and has no common value; it is measured too, for the record.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from common.paths import DEFAULT_HEAD
from common.tensor_groups import map_tensors
from model.face.assets import load_head
from model.geometry.camera import default_intrinsics, project
from model.geometry.rotation import rotation_from_euler
from model.render.color import linear_to_srgb
from model.render.cpu.rasterizer import CpuRasterizer
from model.render.lighting import neutral_lighting
from model.render.rasterizer import Rasterizer
from model.render.renderer import Renderer, Rendering

SIZES = ((112, 112), (224, 224), (225, 160))
POSES_DEGREES = ((0.0, 0.0, 0.0), (40.0, -10.0, 5.0), (-75.0, 12.0, -8.0))
"""Yaw, pitch, roll."""

_CLEARANCE_PX = 0.0625
_DISTANCE_MM = 700.0


@dataclass(frozen=True)
class ParityScene:
    """The mean head before a camera, under light from one side, and something to compare its picture with.

    Attributes:
        vertices_camera_mm: Camera space.
        rotation: From model to camera space.
        albedo_linear: Colour of each vertex.
        faces: Triangles.
        lighting: Spherical harmonics.
        intrinsics_px: Camera.
        target_srgb: The other picture.
    """

    vertices_camera_mm: Float[Tensor, "1 vertex 3"]
    rotation: Float[Tensor, "3 3"]
    albedo_linear: Float[Tensor, "1 vertex 3"]
    faces: Int32[Tensor, "face 3"]
    lighting: Float[Tensor, "1 9 3"]
    intrinsics_px: Float[Tensor, "1 3 3"]
    target_srgb: Float[Tensor, "1 height width 3"]

    def to(self, device: torch.device | str) -> "ParityScene":
        """The same on another device."""
        return map_tensors(self, lambda values: values.to(device))


@dataclass(frozen=True)
class Parity:
    """A rasterizer against the CPU's, on one scene. Shares in [0, 1], differences of gradients as relative L2 norms.

    Attributes:
        sure: Share of the pixels whose centre is away from edges.
        same_where_sure: Of those the share with the same triangle.
        same: Share of all pixels with the same triangle.
        close: Share of pixels that differ by at most 1/255 in sRGB.
        by_vertices: Gradient by the vertices, of the loss where both see the same triangles.
        by_albedo: The same by the albedo.
        by_vertices_anywhere: Gradient by the vertices, of the loss on all pixels.
        by_identity_anywhere: The same carried on to the identity coefficients.
    """

    sure: float
    same_where_sure: float
    same: float
    close: float
    by_vertices: float
    by_albedo: float
    by_vertices_anywhere: float
    by_identity_anywhere: float


def head_scene(height: int, width: int, pose_degrees: Sequence[float], head: Path = DEFAULT_HEAD) -> ParityScene:
    """The released head, filling the picture as it fills a training crop."""
    assets = load_head(head)
    rotation = rotation_from_euler(torch.tensor([math.radians(angle) for angle in pose_degrees]))
    vertices = torch.from_numpy(assets.vertices_mm).float() @ rotation.T + torch.tensor([0.0, 0.0, -_DISTANCE_MM])
    intrinsics_px = default_intrinsics(height, width)
    intrinsics_px[0, 0] = intrinsics_px[1, 1] = min(height, width) * _DISTANCE_MM / 240.0
    lighting = neutral_lighting(1)
    lighting[:, 1:4] = torch.tensor([[0.1], [0.2], [-0.25]]) * lighting[:, :1]
    rows, columns = torch.meshgrid(torch.linspace(0.0, 6.0, height), torch.linspace(0.0, 6.0, width), indexing="ij")
    target = 0.5 + 0.4 * torch.sin(columns) * torch.cos(rows)
    return ParityScene(
        vertices_camera_mm=vertices[None],
        rotation=rotation,
        albedo_linear=torch.from_numpy(assets.albedo_mean).float()[None],
        faces=torch.from_numpy(assets.faces).int(),
        lighting=lighting,
        intrinsics_px=intrinsics_px[None],
        target_srgb=target[None, ..., None].expand(-1, -1, -1, 3),
    )


def compare(
    rasterizer: Rasterizer, device: torch.device | str, scene: ParityScene, head: Path = DEFAULT_HEAD
) -> Parity:
    """Draw a scene with a rasterizer on a device and with the CPU's, and compare."""
    there = scene.to(device)
    reference = CpuRasterizer()
    with torch.no_grad():
        expected, ours = draw(reference, scene), draw(rasterizer, there)
    same = expected.face_index == ours.face_index.cpu()
    sure = _away_from_edges(reference, scene, expected.face_index)
    difference = (_srgb(expected.image_linear) - _srgb(ours.image_linear).cpu()).abs().amax(-1)
    around = -torch.nn.functional.max_pool2d(-same[:, None].float(), 3, 1, 1)[:, 0]
    by_vertices, by_albedo = _gradients(reference, scene, around)
    by_vertices_anywhere, _ = _gradients(reference, scene, torch.ones_like(around))
    our_vertices, our_albedo = _gradients(rasterizer, there, around.to(device))
    our_vertices_anywhere, _ = _gradients(rasterizer, there, torch.ones_like(around).to(device))
    basis = torch.from_numpy(load_head(head).identity_basis).float()
    to_identity = [(basis * (by @ scene.rotation)).sum((1, 2)) for by in (our_vertices_anywhere, by_vertices_anywhere)]
    return Parity(
        sure=float(sure.float().mean()),
        same_where_sure=float(same[sure].float().mean()),
        same=float(same.float().mean()),
        close=float((difference <= 1.0 / 255.0).float().mean()),
        by_vertices=_relative(our_vertices, by_vertices),
        by_albedo=_relative(our_albedo, by_albedo),
        by_vertices_anywhere=_relative(our_vertices_anywhere, by_vertices_anywhere),
        by_identity_anywhere=_relative(*to_identity),
    )


def draw(rasterizer: Rasterizer, scene: ParityScene) -> Rendering:
    """Draw a scene."""
    height, width = scene.target_srgb.shape[1:3]
    return Renderer(rasterizer).render(
        scene.vertices_camera_mm,
        scene.albedo_linear,
        scene.lighting,
        scene.faces,
        scene.intrinsics_px,
        height,
        width,
    )


def photometric_loss(rendering: Rendering, scene: ParityScene, weights: Float[Tensor, "1 height width"]) -> Tensor:
    """Weighted squared difference of the picture and its outline from the scene's target, smooth at zero."""
    difference = (_srgb(rendering.image_linear) - scene.target_srgb).square().sum(-1)
    return ((difference + (rendering.mask - scene.target_srgb[..., 0]).square()) * weights).mean()


def _gradients(
    rasterizer: Rasterizer, scene: ParityScene, weights: Float[Tensor, "1 height width"]
) -> tuple[Tensor, Tensor]:
    """Gradients of the photometric loss by vertices and albedo, on the CPU."""
    vertices = scene.vertices_camera_mm.detach().clone().requires_grad_()
    albedo = scene.albedo_linear.detach().clone().requires_grad_()
    leaf_scene = replace(scene, vertices_camera_mm=vertices, albedo_linear=albedo)
    loss = photometric_loss(draw(rasterizer, leaf_scene), scene, weights)
    by_vertices, by_albedo = torch.autograd.grad(loss, (vertices, albedo))
    return by_vertices.cpu(), by_albedo.cpu()


def _away_from_edges(
    rasterizer: Rasterizer, scene: ParityScene, face_index: Int32[Tensor, "1 height width"]
) -> Bool[Tensor, "1 height width"]:
    """Pixels that show the same triangle when the head is moved by 1/16 pixel in any of eight directions."""
    vertices_image = project(scene.vertices_camera_mm, scene.intrinsics_px)
    sure = torch.ones_like(face_index, dtype=torch.bool)
    for eighth in range(8):
        angle = eighth * math.pi / 4.0
        moved = vertices_image + _CLEARANCE_PX * torch.tensor([math.cos(angle), math.sin(angle), 0.0])
        sure &= rasterizer.rasterize(moved, scene.faces, *face_index.shape[1:]).face_index == face_index
    return sure


def _srgb(image_linear: Tensor) -> Tensor:
    return linear_to_srgb(image_linear.clamp(0.0, 1.0))


def _relative(ours: Tensor, expected: Tensor) -> float:
    return float((ours - expected).norm() / expected.norm())
