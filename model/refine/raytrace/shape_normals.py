"""Shading that is finer than the mesh, as a tangent-space normal map; the shape itself stays.

What bends the normals is taken from the diffuse albedo, which had to explain it before.
"""

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from model.export.atlas import Atlas
from model.export.tangents import vertex_tangents
from model.geometry.mesh import vertex_normals
from model.refine.raytrace import priors
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.materials import sample_texture
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.raytraced_face import RaytracedFace, RaytracedState
from model.refine.raytrace.reflectance import TextureVariable, texture_side
from model.refine.raytrace.shape_config import ShapeConfig

_LEAST_IRRADIANCE = 1e-3
_MOST_LOG = 0.3
"""A bend that changes the light by more than a third is no pore."""


def with_normal_map(
    face: RaytracedFace, slope: Float[Tensor, "sample 3 3"], atlas: Atlas, config: ShapeConfig, history: History
) -> RaytracedFace:
    """The face with a normal map, and with the diffuse albedo that is left.

    Args:
        face: An accepted answer of the ray-traced stage, with its state.
        slope: `shape_heights.irradiance_slope` of that state.
        atlas: The head's texture space at any resolution.
        config: Steps and weights.
        history: Gets the terms of every step.
    """
    appearance, state = face.appearance, face.state
    assert appearance is not None
    assert state is not None
    frames = tangent_frames(state.surface, atlas).to(state.arriving)
    tilt, log_light = _search(state, slope, frames, config, history)
    size = len(appearance.normal)
    seen = appearance.known[..., None]
    across = seen * cv2.resize(tilt.cpu().numpy(), (size, size), interpolation=cv2.INTER_LINEAR)
    normal = np.concatenate((across, np.ones((size, size, 1), np.float32)), axis=-1)
    normal = (normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32)
    lighter = _texels(state, log_light, len(tilt))
    left = seen * cv2.resize(lighter, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    diffuse = np.clip(appearance.diffuse_linear * np.exp(-left), 0.0, 1.0).astype(np.float32)
    return replace(face, appearance=replace(appearance, normal=normal, diffuse_linear=diffuse))


def tangent_frames(surface: PixelSurface, atlas: Atlas) -> Float[Tensor, "sample 2 3"]:
    """Where u and v grow at the samples: the tangents and bitangents that the GLB has, in camera space."""
    vertices_mm, faces = surface.geometry.vertices_mm.detach().float().cpu(), surface.geometry.faces.cpu()
    normals = vertex_normals(vertices_mm[None], faces)[0].numpy()[atlas.vertex]
    tangents = vertex_tangents(vertices_mm.numpy()[atlas.vertex], normals, atlas.uv, atlas.faces)
    bitangents = np.cross(normals, tangents[:, :3]) * tangents[:, 3:]
    both = np.stack((tangents[:, :3], bitangents), axis=1).astype(np.float32)
    corners = torch.from_numpy(atlas.faces).long()[surface.face_index.long()]
    mixed = (torch.from_numpy(both)[corners] * surface.barycentric[..., None, None]).sum(1)
    return normalize(mixed, dim=-1)


def _search(
    state: RaytracedState,
    slope: Float[Tensor, "sample 3 3"],
    frames: Float[Tensor, "sample 2 3"],
    config: ShapeConfig,
    history: History,
) -> tuple[Float[Tensor, "texture texture 2"], Float[Tensor, " sample"]]:
    """Tilt of the normals along u and v over their length across, and the log of what the light becomes by it."""
    problem, normals = state.problem, state.surface.points.normal.to(state.arriving)
    texture = TextureVariable(problem, texture_side(state.surface.size_px, 256))
    raw = problem.uv.new_zeros(*texture.raw.shape[:2], 2).requires_grad_()

    def arriving() -> Tensor:
        across = sample_texture(raw, problem.uv)
        bent = normalize(normals + torch.einsum("pk,pka->pa", across, frames), dim=-1) - normals
        return (state.arriving + torch.einsum("pca,pa->pc", slope, bent)).clamp(min=_LEAST_IRRADIANCE)

    def terms() -> dict[str, Tensor]:
        radiance = state.albedo_linear * texture(problem.uv) * arriving() + state.glossy
        return {
            "distance": problem.distance(radiance),
            "size": 0.5 * config.size * (raw[texture.seen] / config.tilt_sd).square().mean(),
            "smoothness": config.tilt_smoothness * priors.smoothness(raw, texture.seen),
            "texture_smoothness": config.texture_smoothness * priors.smoothness(texture.raw, texture.seen),
            "texture_size": config.texture_size * texture.raw[texture.seen].square().mean(),
        }

    descend(terms, ((raw, config.tilt_rate), (texture.raw, config.texture_rate)), config.steps, history, "normals")
    with torch.no_grad():
        before, after = (light.mean(1).clamp(min=_LEAST_IRRADIANCE) for light in (state.arriving, arriving()))
        return raw.detach(), (after / before).log().clamp(-_MOST_LOG, _MOST_LOG)


def _texels(state: RaytracedState, values: Float[Tensor, " sample"], side: int) -> Float[np.ndarray, "side side"]:
    """The samples' values over the texture, between them smoothly and 0 far from them."""
    uv, found = state.problem.uv.cpu().numpy(), np.zeros((side, side, 2), np.float32)
    column = (uv[:, 0] * side).astype(int).clip(0, side - 1)
    row = ((1.0 - uv[:, 1]) * side).astype(int).clip(0, side - 1)
    np.add.at(found, (row, column), np.stack((values.cpu().numpy(), np.ones(len(uv), np.float32)), axis=1))
    found = cv2.GaussianBlur(found, (0, 0), 0.7)
    return found[..., 0] / np.maximum(found[..., 1], 0.05)
