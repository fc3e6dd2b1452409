"""Multi-view consistency: two photographs of a person must find the same skin where both see it."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from model.geometry.vertex_sampling import sample_at_vertices
from model.losses.swapped_identity import next_of_person
from model.render.color import linear_to_srgb, luminance

_LEAST_SHADING = 0.15
"""In deeper shadow a photograph says little of the skin, and a division by the shading too much."""

_ROBUST_SCALE = 0.15


def observed_albedo(
    photograph_linear: Float[Tensor, "batch 3 height width"],
    vertices_image: Float[Tensor, "batch vertex 3"],
    shading: Float[Tensor, "batch vertex 3"],
) -> Float[Tensor, "batch vertex 3"]:
    """What the photograph says of the albedo of each vertex: its colour there over the shading.

    Args:
        photograph_linear: Photograph, linear RGB.
        vertices_image: Vertices in the photograph, (x_px, y_px, depth_mm).
        shading: What the albedo is multiplied with there.
    """
    return sample_at_vertices(photograph_linear, vertices_image) / shading.clamp(min=_LEAST_SHADING)


def multiview_difference(
    albedo_linear: Float[Tensor, "batch vertex 3"],
    seen: Float[Tensor, "batch vertex"],
    person: Int[Tensor, " batch"],
    color: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Robust difference of the observed albedo between photographs of one person, where both see the vertex.

    Covisible consistency of Shang et al., "Self-Supervised Monocular 3D Face Reconstruction by Occlusion-Aware
    Multi-view Geometry Consistency" (MGCNet), ECCV 2020. Theirs are views of one moment under one light; ours are
    not, so the light is divided out first, in sRGB units, and in luminance where either photograph is grey.

    Args:
        albedo_linear: Observed albedo (`observed_albedo`).
        seen: How far each photograph shows each vertex, [0, 1].
        person: Person of each sample, negative where unknown.
        color: False for grey photographs.

    Returns:
        A scalar, mean over the samples that have a partner; 0 without any.
    """
    partner, paired = next_of_person(person)
    both_seen = (seen * seen[partner]).detach() * paired[:, None]
    grey = luminance(albedo_linear)[..., None].expand_as(albedo_linear)
    both_color = (color & color[partner])[:, None, None]
    own = linear_to_srgb(torch.where(both_color, albedo_linear, grey))
    other = linear_to_srgb(torch.where(both_color, albedo_linear[partner], grey[partner]))
    distance = ((own - other).square().sum(-1) + 1e-6).sqrt()
    with torch.no_grad():
        # About the pair's median: a skin that is off as a whole is no occluder.
        level = torch.nanmedian(distance.masked_fill(both_seen < 0.5, torch.nan), dim=1, keepdim=True).values
        scale = _ROBUST_SCALE + torch.nan_to_num(level)
        weight = both_seen / (1.0 + (distance / scale).square()).square()
    area = both_seen.sum(1)
    counts = (area > 0).to(distance.dtype)
    mean = (weight * distance).sum(1) / area.clamp(min=1e-6)
    return (mean * counts).sum() / counts.sum().clamp(min=1.0)
