"""Which samples of the head the ray-traced stage goes by, and what is known of them."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from model.face.morphable_model import MorphableModel
from model.face.regions import facial_skin, triangles_of
from model.look.materials import region_shares
from model.losses.occlusion import unoccluded
from model.refine.face import FaceCrop
from model.refine.raytrace.pixel_surface import PixelSurface
from model.refine.raytrace.skin_problem import SkinProblem, observe
from model.refine.raytrace.transport_tables import TransportTables

_LEAST_COSINE, _COSINE_EDGE = 0.2, 0.2
"""Samples that face the camera by less are left out; those that do so by little more count less."""
_OCCLUDER_REACH = 0.02
"""Neighbourhood in which a residual is judged, over the side of the window."""
_HIDDEN, _BARE = 0.25, 0.55
"""Robust weights below and above which a sample counts as hidden and as bare skin."""


def build_problem(
    morphable_model: MorphableModel,
    crop: FaceCrop,
    surface: PixelSurface,
    weight: Float[Tensor, " sample"],
    tables: TransportTables,
) -> SkinProblem:
    """What is known at the samples, on the photograph's device."""
    device = crop.image_srgb.device
    observed, saturated = observe(crop.image_srgb, surface.pixel_index.to(device))
    components = morphable_model.albedo_basis.unflatten(-1, (-1, 3))
    basis = [surface.interpolate(component.cpu()) for component in components]
    return SkinProblem(
        observed_linear=observed,
        saturated=saturated,
        weight=weight.to(device),
        color=crop.color,
        uv=surface.uv.to(device),
        albedo_mean=surface.interpolate(morphable_model.albedo_mean.cpu()).to(device),
        albedo_basis=torch.stack(basis).to(device),
        regions=surface.interpolate(region_shares(morphable_model).cpu()).to(device),
        tables=tables.to(device),
    )


def skin_faces(morphable_model: MorphableModel) -> Bool[Tensor, " face"]:
    """Triangles of bare facial skin: neither eyes nor the inside of the mouth, nor where hair grows."""
    return triangles_of(morphable_model, facial_skin(morphable_model)).cpu()


def sample_weight(surface: PixelSurface, crop: FaceCrop) -> Float[Tensor, " sample"]:
    """How well the camera sees each sample: wholly within face and photograph, and not from the side."""
    cosine = (surface.points.normal * surface.view).sum(-1)
    weight = ((cosine - _LEAST_COSINE) / _COSINE_EDGE).clamp(0.0, 1.0)
    outside = (surface.coverage() < 1.0).float()
    whole = 1.0 - max_pool2d(outside[None, None], 3, stride=1, padding=1)[0, 0]
    image = whole * crop.inside.cpu()
    return weight * image.flatten()[surface.pixel_index]


def bare_skin(
    surface: PixelSurface,
    residual_srgb: Float[Tensor, "sample 3"],
    seen: Float[Tensor, " sample"],
    shown: Float[Tensor, " sample"],
    core: Float[Tensor, " sample"],
) -> Float[Tensor, " sample"]:
    """How surely each sample is skin, by how well statistical skin explains it.

    One region: what lies beyond a fringe, and happens to have a colour that skin could have, is hair as well.

    Args:
        surface: The samples.
        residual_srgb: Rendering with the statistical albedo minus photograph.
        seen: How well the camera sees each sample.
        shown: What the stage before took for skin; what it took for hair is not made skin by a light that explains it.
        core: Share of the nose in each sample: no hair lies over it.
    """
    layers = torch.stack((residual_srgb.norm(dim=1), seen), dim=1).cpu()
    distance, mask = surface.pixel_mean(layers).permute(2, 0, 1)[:, None]
    found = unoccluded(distance, mask, _OCCLUDER_REACH).flatten()[surface.pixel_index].to(seen)
    sure = ((torch.minimum(found, shown) - _HIDDEN) / (_BARE - _HIDDEN)).clamp(0.0, 1.0)
    believed, nose = surface.pixel_mean(torch.stack((sure * seen, core), dim=1).cpu()).numpy().transpose(2, 0, 1)
    region = _with_core(believed > 0.5, nose)
    return sure * torch.from_numpy(region).flatten()[surface.pixel_index].to(sure)


def _with_core(
    picture: Bool[np.ndarray, "size size"], core: Float[np.ndarray, "size size"]
) -> Bool[np.ndarray, "size size"]:
    """The connected part of a mask that holds most of the core, else the largest, with the pixels around it.

    Everything where the mask is empty.
    """
    count, parts = cv2.connectedComponents(picture.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.ones_like(picture)
    # A pixel of core outweighs any number of others.
    merit = np.bincount(parts.ravel(), weights=1.0 + picture.size * core.ravel(), minlength=count)
    merit[0] = 0.0
    return cv2.dilate((parts == merit.argmax()).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
