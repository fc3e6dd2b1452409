"""Maps over the whole skin from what was found at the samples: the mirror and statistics tell what was not seen."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas
from model.look.completion import continue_difference
from model.look.materials import Materials, region_shares
from model.refine.raytrace.materials import changed, on_skin, sample_texture
from model.refine.raytrace.skin_problem import SkinProblem

_MIRRORED_TRUST = 0.7
"""What the mirror side says counts a little less: a mole is on one cheek."""
_KNOWN_EDGE_TEXELS = 3.0
"""Width of the transition between what was seen and what was completed, texels of a map of 256 px."""


@dataclass(frozen=True)
class SkinMaps:
    """Maps of `model.look.appearance.Appearance` but for the light, and the diffuse albedo by vertex."""

    diffuse_linear: Float[np.ndarray, "texture texture 3"]
    specular_f0: Float[np.ndarray, "texture texture"]
    roughness: Float[np.ndarray, "texture texture"]
    known: Float[np.ndarray, "texture texture"]
    vertex_albedo_linear: Float[np.ndarray, "vertex 3"]


def skin_maps(
    morphable_model: MorphableModel,
    atlas: Atlas,
    albedo_linear: Float[Tensor, "vertex 3"],
    log_texture: Float[Tensor, "found found channel"],
    problem: SkinProblem,
    materials: Materials,
    material_factors: Float[Tensor, "region 2"] | Float[Tensor, "free free 2"],
) -> SkinMaps:
    """Complete and draw the maps.

    Args:
        morphable_model: The head.
        atlas: Its texture space, at the resolution that is written.
        albedo_linear: Statistical albedo of the vertices.
        log_texture: Log factor on it where the photograph showed it.
        problem: What was seen.
        materials: Statistical specular and roughness of the vertices.
        material_factors: Log factors on them, by region or as a map.
    """
    size = len(atlas.covered)
    found = log_texture.detach().cpu().float().numpy()
    known = _known(problem, len(found))
    log_factor, known = _resized(found, size), _resized(known, size)[..., 0].clip(0.0, 1.0)
    mirrored = _MIRRORED_TRUST * known[:, ::-1] * (1.0 - known)
    by_vertex = _over_vertices(morphable_model, atlas, log_factor, known, mirrored)
    filled = atlas.sample(by_vertex)
    known_here, mirrored_here = known[atlas.covered][:, None], mirrored[atlas.covered][:, None]
    rest = 1.0 - known_here - mirrored_here
    log_here = (
        known_here * log_factor[atlas.covered] + mirrored_here * log_factor[:, ::-1][atlas.covered] + rest * filled
    )
    statistical = albedo_linear.detach().cpu().numpy()
    diffuse = atlas.sample(statistical) * np.exp(log_here)
    texels = _materials(morphable_model, atlas, materials, material_factors)
    return SkinMaps(
        diffuse_linear=_drawn(np.clip(diffuse, 0.0, 1.0), atlas),
        specular_f0=_drawn(texels[:, :1], atlas)[..., 0],
        roughness=_drawn(texels[:, 1:], atlas)[..., 0],
        known=(known * atlas.covered).astype(np.float32),
        vertex_albedo_linear=np.clip(statistical * np.exp(by_vertex), 0.0, 1.0).astype(np.float32),
    )


def _known(problem: SkinProblem, side: int) -> Float[np.ndarray, "found found"]:
    """How far each texel was seen: the greatest weight of the samples on it, gaps closed, the edge softened."""
    on_map = on_skin(problem.uv)
    uv, weight = problem.uv[on_map].cpu().numpy(), problem.weight[on_map].cpu().numpy()
    column = (uv[:, 0] * side).astype(int).clip(0, side - 1)
    row = ((1.0 - uv[:, 1]) * side).astype(int).clip(0, side - 1)
    known = np.zeros((side, side), np.float32)
    np.maximum.at(known, (row, column), weight)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    known = cv2.erode(cv2.morphologyEx(known, cv2.MORPH_CLOSE, kernel, iterations=2), kernel)
    return cv2.GaussianBlur(known, (0, 0), max(0.5, _KNOWN_EDGE_TEXELS * side / 256.0 / 2.0))


def _resized(image: np.ndarray, size: int) -> Float[np.ndarray, "size size channel"]:
    resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    return resized.reshape(size, size, -1)


def _over_vertices(
    morphable_model: MorphableModel, atlas: Atlas, log_factor: np.ndarray, known: np.ndarray, mirrored: np.ndarray
) -> Float[np.ndarray, "vertex channel"]:
    """The factor continued smoothly over the whole head, so that neck and ears have the face's tone."""
    layers = np.dstack((log_factor, known, log_factor[:, ::-1], mirrored)).astype(np.float32)
    # Vertices that no texel of the skin lies at are off the map, where nothing is known.
    uv = torch.full((len(morphable_model.mirror), 2), 2.0)
    uv[torch.from_numpy(atlas.vertex)] = torch.from_numpy(atlas.uv)
    at_vertices = sample_texture(torch.from_numpy(np.ascontiguousarray(layers)), uv).numpy()
    channels = log_factor.shape[-1]
    here, there = at_vertices[:, channels], at_vertices[:, -1]
    total = here + there
    mixed = here[:, None] * at_vertices[:, :channels] + there[:, None] * at_vertices[:, channels + 1 : -1]
    # Far from what was seen the face's own mean: to fall back to 1 would draw a line around it.
    far = (here @ at_vertices[:, :channels] / max(float(here.sum()), 1e-6)).astype(np.float32)
    return continue_difference(mixed / np.maximum(total, 1e-6)[:, None], total, atlas.laplacian, far)


def _materials(
    morphable_model: MorphableModel, atlas: Atlas, materials: Materials, factors: Tensor
) -> Float[np.ndarray, "texel 2"]:
    values = torch.stack((materials.f0, materials.roughness, torch.zeros_like(materials.f0)), dim=1)
    base = torch.from_numpy(atlas.sample(values.cpu().numpy()))
    if factors.ndim == 3:
        rows, columns = np.nonzero(atlas.covered)
        size = len(atlas.covered)
        uv = torch.from_numpy(np.stack(((columns + 0.5) / size, 1.0 - (rows + 0.5) / size), 1).astype(np.float32))
        log_factors = sample_texture(factors.detach().cpu(), uv)
    else:
        by_vertex = region_shares(morphable_model) @ factors.detach()
        log_factors = torch.from_numpy(atlas.sample(by_vertex.cpu().numpy()))
    texels = changed(Materials(base[:, 0], base[:, 1]), log_factors)
    return torch.stack((texels.f0.clamp(0.0, 1.0), texels.roughness), dim=1).numpy()


def _drawn(values: np.ndarray, atlas: Atlas) -> Float[np.ndarray, "texture texture channel"]:
    """Texels into an image; those beyond the islands repeat the nearest one, against seams when it is sampled."""
    return values[atlas.nearest].astype(np.float32)
