"""The photograph at one size, and what a head drawn into it shows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.face.regions import INSIDE, any_region, whole_face
from model.geometry.camera import crop_intrinsics, project
from model.geometry.mesh import vertex_normals
from model.refine.face import FaceCrop
from model.render.color import linear_to_srgb, srgb_to_linear
from model.render.lighting import spherical_harmonics
from model.render.rasterizer import Fragments, Rasterizer

_EYE_WEIGHT = 0.5
_BROWS, _EYE_CORNERS = slice(17, 27), (36, 45)
_CORE_WIDTH = 1.15
# Cosine between normal and the way to the camera: grazing pixels show the background as soon as the head is a little
# too large.
_GRAZING, _FACING = 0.1, 0.4


@dataclass(frozen=True)
class Level:
    """The photograph at one size.

    Attributes:
        image_srgb: The photograph, batch of 1.
        inside: Where it is not beyond its border.
        scale: Its pixels over those of the crop.
    """

    image_srgb: Float[Tensor, "1 3 size size"]
    inside: Float[Tensor, "1 size size"]
    scale: float

    @property
    def size_px(self) -> int:
        """Side."""
        return self.image_srgb.shape[-1]

    def intrinsics_px(self, crop_px: Float[Tensor, "3 3"]) -> Float[Tensor, "1 3 3"]:
        """The crop's camera at this size."""
        return crop_intrinsics(crop_px, 0.0, 0.0, self.scale)[None]


@dataclass(frozen=True)
class View:
    """What the pixels of a level show of a head; batch of 1, 0 on the background.

    Attributes:
        albedo_linear: Diffuse albedo.
        harmonics: Of the pixels' normals.
        weight: How far the pixel is the face's skin, faces the camera and lies in the photograph; no gradient.
        core: The same where hair and hoods hardly ever reach.
        fragments: Triangles seen.
    """

    albedo_linear: Float[Tensor, "1 size size 3"]
    harmonics: Float[Tensor, "1 size size 9"]
    weight: Float[Tensor, "1 size size"]
    core: Float[Tensor, "1 size size"]
    fragments: Fragments

    def image_linear(self, lighting: Float[Tensor, "1 9 3"]) -> Float[Tensor, "1 size size 3"]:
        """The picture under a light in [0, 1], as a camera that saturates shows it."""
        return (self.albedo_linear * self.shading(lighting)).clamp(0.0, 1.0)

    def shading(self, lighting: Float[Tensor, "1 9 3"]) -> Float[Tensor, "1 size size 3"]:
        """What the albedo is multiplied with; dark where the harmonics promise less than nothing."""
        return (self.harmonics.flatten(1, 2) @ lighting).view_as(self.albedo_linear).clamp(min=0.0)


def make_level(crop: FaceCrop, size_px: int) -> Level:
    """The crop at a size, its light averaged over the larger pixels."""
    inside = crop.inside[None, None]
    linear = srgb_to_linear(crop.image_srgb)[None] * inside
    pair = torch.cat((linear, inside), dim=1)
    if size_px != crop.size_px:
        pair = torch.nn.functional.interpolate(
            pair, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False
        )
    share = pair[:, 3].clamp(0.0, 1.0)
    image = linear_to_srgb((pair[:, :3] / share.clamp(min=1e-3)[:, None]).clamp(0.0, 1.0))
    return Level(image, (share > 0.99).to(share), size_px / crop.size_px)


def draw(
    model: MorphableModel,
    rasterizer: Rasterizer,
    level: Level,
    vertices_camera_mm: Float[Tensor, "1 vertex 3"],
    albedo_linear: Float[Tensor, "1 vertex 3"],
    compared: Float[Tensor, "vertex 2"],
    intrinsics_px: Float[Tensor, "3 3"],
) -> View:
    """Look at a head; differentiable in vertices, albedo and camera, inside the outline.

    Args:
        model: Its triangles.
        rasterizer: What draws.
        level: Size and border of the picture.
        vertices_camera_mm: The head.
        albedo_linear: Its skin.
        compared: `compared_vertices` of the head.
        intrinsics_px: Camera of the crop.
    """
    size = level.size_px
    vertices_image = project(vertices_camera_mm, level.intrinsics_px(intrinsics_px))
    fragments = rasterizer.rasterize(vertices_image, model.faces, size, size)
    normals = vertex_normals(vertices_camera_mm, model.faces)
    towards = torch.nn.functional.normalize(-vertices_camera_mm.detach(), dim=-1)
    facing = ((normals.detach() * towards).sum(-1) - _GRAZING) / (_FACING - _GRAZING)
    layers = (albedo_linear, normals, facing.clamp(0.0, 1.0)[..., None] * compared)
    drawn = rasterizer.interpolate(torch.cat(layers, dim=-1), fragments, model.faces)
    albedo, normals, weights = drawn.split((3, 3, 2), dim=-1)
    weight, core = (weights.detach().clamp(0.0, 1.0) * level.inside[..., None]).unbind(-1)
    return View(
        albedo_linear=albedo,
        harmonics=spherical_harmonics(torch.nn.functional.normalize(normals, dim=-1)),
        weight=weight,
        core=core,
        fragments=fragments,
    )


def compared_vertices(model: MorphableModel) -> Float[Tensor, "vertex 2"]:
    """How far a vertex is compared with the photograph, and how far it belongs to the core of the face.

    Compared are the face's skin, half as much the eyes, not the mouth. The core lies below the brows and between the
    outer corners of the eyes and a little beyond: what is seen there is the face's own, hands and glasses apart.
    """
    weight, eyes = whole_face(model).to(model.mean_mm), any_region(model, "eyes")
    weight = torch.where(eyes, _EYE_WEIGHT * torch.ones_like(weight), weight)
    weight = weight * (~any_region(model, *INSIDE)).to(weight)
    points_mm = model.landmarks(model.mean_mm[None])[0]
    half_mm = _CORE_WIDTH * points_mm[_EYE_CORNERS, 0].abs().mean()
    inner = (model.mean_mm[:, 0].abs() < half_mm) & (model.mean_mm[:, 1] < points_mm[_BROWS, 1].mean())
    core = weight * (inner & ~eyes).to(weight)
    return torch.stack((weight, core), dim=-1)
