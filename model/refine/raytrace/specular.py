"""The glossy part of skin: GGX reflection, in tables that are linear in the light and in f0.

The model is glTF's dielectric (and what every renderer of ours has to match). With unit vectors n (shading normal), v
(to the camera), w (to the light), h = (v + w) / |v + w|, and alpha = roughness^2:

    reflected radiance = integral over w of L(w) (n . w) [ albedo / pi + F D V ]
    D = alpha^2 / (pi ((n . h)^2 (alpha^2 - 1) + 1)^2)                               (Walter et al., EGSR 2007)
    V = G / (4 (n . v)(n . w)) = 1 / (4 (n . v)(n . w) (1 + Lambda(v) + Lambda(w)))  (height-correlated Smith)
    Lambda(u) = (sqrt(1 + alpha^2 tan^2(u)) - 1) / 2                                 (Heitz, JCGT 2014)
    F = f0 + (1 - f0) c,  c = (1 - v . h)^5                                          (Schlick 1994)

The diffuse part is **not** dimmed by 1 - F: at f0 = 0.04 a sample can reflect a few per cent more than arrives.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from model.refine.raytrace.light_basis import LightBasis
from model.refine.raytrace.pixel_surface import PixelSurface, ShadingPoints, offset_origins
from model.refine.raytrace.ray_queries import RayQueries

_RAYS_PER_BLOCK = 1 << 18
_GRID_SIDE = 128


class GlossyTables(NamedTuple):
    """`specular` and `grazing` of `TransportTables`."""

    specular: Float[Tensor, "sample level light"]
    grazing: Float[Tensor, "sample level light"]


def glossy_tables(
    surface: PixelSurface,
    rays: RayQueries | None,
    basis: LightBasis,
    roughness_levels: tuple[float, ...],
    sample_count: int,
) -> GlossyTables:
    """Trace reflected directions, drawn as the GGX lobe sees them from the camera.

    Each sample of the surface uses the same pattern of half vectors, turned to its own normal and view, so that the
    error is a smooth function over the face and no noise. Reflections below the surface are lost, as in the model.

    Args:
        surface: The samples.
        rays: The whole head; None if nothing throws a shadow.
        basis: The light.
        roughness_levels: Perceptual roughness of the levels.
        sample_count: Directions per sample and level; 0 for tables of zeros.
    """
    shape = (len(surface), len(roughness_levels), basis.count)
    tables = GlossyTables(torch.zeros(shape), torch.zeros(shape))
    if sample_count == 0:
        return tables
    # The lobes are far wider than a cell, whose middle is within 1.8 degrees: looking up costs a tenth of evaluating.
    radiance = basis.radiance(octahedral_directions(_GRID_SIDE))
    pattern = hammersley(sample_count)
    step = max(1, _RAYS_PER_BLOCK // sample_count)
    for start in range(0, len(surface), step):
        block = slice(start, min(start + step, len(surface)))
        points, view = surface.points.part(block), surface.view[block]
        for level, roughness in enumerate(roughness_levels):
            directions, weight, fresnel = reflected(points.normal, view, roughness**2, pattern)
            weight = weight * unblocked(points, directions, rays) / sample_count
            cells = octahedral_cell(directions, _GRID_SIDE)
            for table, part in ((tables.specular, 1.0 - fresnel), (tables.grazing, fresnel)):
                table[block, level] = embedding_bag(cells, radiance, mode="sum", per_sample_weights=weight * part)
    return tables


def reflected(
    normal: Float[Tensor, "sample 3"],
    view: Float[Tensor, "sample 3"],
    alpha: float,
    pattern: Float[Tensor, "ray 2"],
) -> tuple[Float[Tensor, "sample ray 3"], Float[Tensor, "sample ray"], Float[Tensor, "sample ray"]]:
    """Mirror the view at half vectors drawn from the visible GGX normals (Heitz, JCGT 2018).

    Returns:
        Directions; their weights D V (n . w) / density, which are G2 / G1 and at most 1, and 0 where the direction
        goes into the surface; Schlick's c.
    """
    tangent, bitangent = frame(normal, view)
    cosine = (normal * view).sum(-1).clamp(min=1e-4)
    sine = (1.0 - cosine**2).clamp(min=0.0).sqrt()
    half = _visible_half_vectors(sine, cosine, alpha, pattern)
    # View in the frame: (sine, 0, cosine).
    view_half = half[..., 0] * sine[:, None] + half[..., 2] * cosine[:, None]
    local = 2.0 * view_half[..., None] * half - torch.stack((sine, torch.zeros_like(sine), cosine), dim=-1)[:, None]
    axes = torch.stack((tangent, bitangent, normal), dim=1)
    directions = normalize(torch.einsum("srx,sxy->sry", local, axes), dim=-1)
    up = local[..., 2]
    lambda_view = smith_lambda(cosine, alpha)[:, None]
    weight = (1.0 + lambda_view) / (1.0 + lambda_view + smith_lambda(up.clamp(min=1e-4), alpha))
    return directions, weight * (up > 0.0), (1.0 - view_half).clamp(0.0, 1.0) ** 5


def ggx(n_v: Tensor, n_w: Tensor, v_w: Tensor, alpha: Tensor | float) -> tuple[Tensor, Tensor]:
    """D V, to be multiplied with F, n . w and the light, and Schlick's c.

    Args:
        n_v: Cosine between normal and view; all shapes broadcast.
        n_w: Cosine between normal and light; the answer is 0 where it or `n_v` is not positive.
        v_w: Cosine between view and light. The half vector follows: |v + w|^2 = 2 + 2 v . w.
        alpha: Roughness squared.
    """
    above = (n_v > 0.0) & (n_w > 0.0)
    n_v, n_w = n_v.clamp(min=1e-4), n_w.clamp(min=1e-4)
    length = (2.0 + 2.0 * v_w).clamp(min=1e-6).sqrt()
    n_h = ((n_v + n_w) / length).clamp(max=1.0)
    squared = alpha * alpha
    spread = n_h * n_h * (squared - 1.0) + 1.0
    masking = 4.0 * n_v * n_w * (1.0 + smith_lambda(n_v, alpha) + smith_lambda(n_w, alpha))
    return squared / (math.pi * spread * spread * masking) * above, (1.0 - 0.5 * length).clamp(min=0.0) ** 5


def cosines(vectors: Float[Tensor, "sample 3"], directions: Float[Tensor, "*sample ray 3"]) -> Tensor:
    """Scalar products (sample, ray) of each sample's vector with its own directions, or with shared ones (ray, 3)."""
    if directions.ndim == 2:
        return vectors @ directions.T
    return torch.bmm(directions, vectors[:, :, None])[..., 0]


def smith_lambda(cosine: Tensor, alpha: Tensor | float) -> Tensor:
    """Smith's auxiliary function of GGX."""
    squared = cosine**2
    return 0.5 * ((1.0 + alpha**2 * (1.0 - squared).clamp(min=0.0) / squared).sqrt() - 1.0)


def unblocked(
    points: ShadingPoints,
    directions: Float[Tensor, "*sample ray 3"],
    rays: RayQueries | None,
    max_distance_mm: Float[Tensor, "sample ray"] | None = None,
) -> Float[Tensor, "sample ray"]:
    """1 where a direction leaves the surface on the outer side of both normals and nothing lies in it, else 0.

    Args:
        points: Where the rays start.
        directions: Each point's own, or shared ones (ray, 3).
        rays: The head; None if nothing is in the way.
        max_distance_mm: Where the rays end; never if None.
    """
    free = ((cosines(points.geometric_normal, directions) > 0.0) & (cosines(points.normal, directions) > 0.0)).numpy()
    if rays is not None:
        sample, ray = np.nonzero(free)
        ends_mm = None if max_distance_mm is None else max_distance_mm.numpy()[sample, ray]
        towards = directions.numpy()
        towards = towards[ray] if directions.ndim == 2 else towards[sample, ray]
        free[sample, ray] = ~rays.occluded(offset_origins(points)[sample], towards, ends_mm)
    return torch.from_numpy(free).float()


def frame(
    normal: Float[Tensor, "sample 3"], view: Float[Tensor, "sample 3"]
) -> tuple[Float[Tensor, "sample 3"], Float[Tensor, "sample 3"]]:
    """Tangent and bitangent; the view lies in the plane of tangent and normal, on the tangent's side."""
    along = view - (normal * view).sum(-1, keepdim=True) * normal
    length = along.norm(dim=-1, keepdim=True)
    # Looked at along its normal, any tangent will do.
    axis = torch.where(
        normal[:, :1].abs() < 0.7, normal.new_tensor([1.0, 0.0, 0.0]), normal.new_tensor([0.0, 1.0, 0.0])
    )
    other = normalize(torch.linalg.cross(axis, normal, dim=-1), dim=-1)
    tangent = torch.where(length > 1e-4, along / length.clamp(min=1e-4), other)
    return tangent, torch.linalg.cross(normal, tangent, dim=-1)


def hammersley(count: int) -> Float[Tensor, "count 2"]:
    """Evenly spread points of the unit square."""
    index = torch.arange(count, dtype=torch.float64)
    # The golden ratio's sequence: as even as van der Corput's for any count.
    return torch.stack(((index + 0.5) / count, (index * 0.6180339887498949 + 0.5) % 1.0), dim=-1).float()


def octahedral_directions(side: int) -> Float[Tensor, "cell 3"]:
    """Directions of the cells of a side x side octahedral map (Cigolle et al., JCGT 2014)."""
    axis = (torch.arange(side) + 0.5) / side * 2.0 - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    z = 1.0 - x.abs() - y.abs()
    fold = (-z).clamp(min=0.0)
    x, y = x - torch.where(x >= 0.0, fold, -fold), y - torch.where(y >= 0.0, fold, -fold)
    return normalize(torch.stack((x, y, z), dim=-1).flatten(0, 1), dim=-1)


def octahedral_cell(directions: Float[Tensor, "*shape 3"], side: int) -> Int[Tensor, "*shape"]:
    """The cell of `octahedral_directions` that holds each direction."""
    x, y, z = (directions / directions.abs().sum(-1, keepdim=True)).unbind(-1)
    folded_x = torch.where(x >= 0.0, 1.0 - y.abs(), y.abs() - 1.0)
    folded_y = torch.where(y >= 0.0, 1.0 - x.abs(), x.abs() - 1.0)
    x, y = torch.where(z < 0.0, folded_x, x), torch.where(z < 0.0, folded_y, y)
    column = ((x + 1.0) * (0.5 * side)).long().clamp(0, side - 1)
    return ((y + 1.0) * (0.5 * side)).long().clamp(0, side - 1) * side + column


def _visible_half_vectors(
    sine: Float[Tensor, " sample"], cosine: Float[Tensor, " sample"], alpha: float, pattern: Float[Tensor, "ray 2"]
) -> Float[Tensor, "sample ray 3"]:
    """Half vectors in the frame in which the view is (sine, 0, cosine)."""
    stretched = normalize(torch.stack((alpha * sine, torch.zeros_like(sine), cosine), dim=-1), dim=-1)
    # The disc seen by the stretched view, spanned by y and stretched x y.
    across = torch.linalg.cross(stretched, stretched.new_tensor([[0.0, 1.0, 0.0]]).expand_as(stretched), dim=-1)
    radius, angle = pattern[:, 0].sqrt(), 2.0 * math.pi * pattern[:, 1]
    first = (radius * angle.cos())[None]
    share = 0.5 * (1.0 + stretched[:, 2:])
    second = (1.0 - share) * (1.0 - first**2).clamp(min=0.0).sqrt() + share * (radius * angle.sin())[None]
    third = (1.0 - first**2 - second**2).clamp(min=0.0).sqrt()
    x = second * across[:, None, 0] + third * stretched[:, None, 0]
    z = second * across[:, None, 2] + third * stretched[:, None, 2]
    return normalize(torch.stack((alpha * x, alpha * first.expand_as(x), z.clamp(min=1e-6)), dim=-1), dim=-1)
