"""How a head looks in its parts: its shape as it is shown, and a texture for each part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from common.photograph import has_color
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region
from model.geometry.mesh import vertex_normals
from model.look.appearance import Appearance
from model.look.atlas import Atlas
from model.look.eyes import draw_eyes, eye_colors
from model.look.face_result import FaceResult
from model.look.hair_mesh import FaceHair, HairMesh
from model.look.head_shape import HeadShape, head_shape
from model.look.light import in_light, light_inside, without_light
from model.look.lips import LipSeam
from model.look.mouth import draw_inside, from_biting_edge, photographed_teeth
from model.look.texture import PartTexture, Texture, VertexColors, draw_texture, vertex_colors
from model.render.color import luminance
from model.render.lighting import shade

_EDGE_HEIGHT, _FRONT_WIDTH = 0.18, 0.13
"""Of the upper front teeth's biting edges: share of the way to the gums, and u from the middle of the tile."""

_UNSEEN_LOWER_MM = 1.5
"""Upper teeth that no photograph shows stand so much lower than the head model's, which an open mouth hides."""

_SEEN, _LEAST_LIGHT, _LIGHT_RATIO = 0.5, 0.05, (0.4, 2.5)


@dataclass(frozen=True)
class HeadLook:
    """A head in its parts.

    Attributes:
        shape: Its vertices at rest and its expressions.
        skin: The skin's textures.
        parts: Textures of eyes and mouth, by name.
        hair: Its hair; None where it has none.
    """

    shape: HeadShape
    skin: Texture
    parts: dict[str, PartTexture]
    hair: HairMesh | None = None

    @property
    def textures(self) -> dict[str, PartTexture]:
        """The textures of the head model's parts by name, the skin's first."""
        return {"skin": self.skin, **self.parts}


def head_look(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    model: MorphableModel,
    atlases: Sequence[Atlas],
    seam: LipSeam | None,
    appearance: Appearance | None = None,
    hair: FaceHair | None = None,
) -> HeadLook:
    """Work out the shape and all textures.

    Args:
        result: The face.
        photograph_srgb: The photograph.
        model: Its head.
        atlases: Texture spaces of its parts, the skin's first.
        seam: Where the head's lips meet.
        appearance: What a ray-traced refinement found of the skin.
        hair: What of the photograph is skin, and the hair; None takes all of the photograph for skin.
    """
    skin_mask = None if hair is None else hair.skin_mask
    colors = vertex_colors(result, photograph_srgb, model, atlases[0], appearance, skin_mask)
    skin = draw_texture(colors, result, photograph_srgb, model, atlases[0], skin_mask)
    light = light_inside(colors.shading_linear, any_region(model, *NO_SKIN).cpu().numpy())
    by_name = {atlas.part: atlas for atlas in atlases}
    upper, incisors = upper_teeth(by_name.get("teeth"), len(model.mirror))
    teeth = photographed_teeth(result, photograph_srgb, incisors)
    eyes = eye_colors(result, photograph_srgb, colors.here, by_name["eyes"]) if "eyes" in by_name else None
    parts = {}
    for atlas in atlases[1:]:
        if atlas.part == "eyes" and eyes is not None:
            shown = [None if color is None else without_light(color, light) for color in (eyes.iris, eyes.white)]
            albedo = draw_eyes(shown[0], shown[1], atlas)
        else:
            color = None if teeth is None else without_light(teeth.color_srgb, light)
            albedo = draw_inside(model, atlas, color)
        lit = in_light(albedo / 255.0, light)
        if not has_color(photograph_srgb):
            lit = np.repeat(luminance(torch.from_numpy(lit))[..., None].numpy(), 3, axis=-1)
        parts[atlas.part] = PartTexture(np.rint(255.0 * lit).astype(np.uint8), albedo)
    lower_by_mm = _UNSEEN_LOWER_MM if teeth is None else teeth.lower_by_mm
    shape = head_shape(result, model, seam, upper, lower_by_mm)
    mesh = None if hair is None else hair.mesh
    if mesh is not None:
        mesh = replace(mesh, texture=mesh.texture.brightened(_over_skins_light(result, colors, model)))
    return HeadLook(shape, skin, parts, mesh)


def _over_skins_light(result: FaceResult, colors: VertexColors, model: MorphableModel) -> float:
    """The network's light, which was taken out of the hair, over what was taken out of the skin.

    Both leave a colour as bright as the light is dim: with two lights, hair and skin would not suit each other. Only
    the brightness: what is red in a light by the skin made blond hair green.
    """
    seen = colors.here > _SEEN
    if not seen.any():
        return 1.0
    normals = vertex_normals(torch.from_numpy(result.vertices_camera_mm)[None], model.faces.cpu())
    light = shade(normals, torch.from_numpy(result.lighting)[None])[0].clamp(min=_LEAST_LIGHT).numpy()
    ratio = np.exp((np.log(light) - np.log(colors.shading_linear))[seen].mean())
    return float(np.clip(ratio, *_LIGHT_RATIO))


def upper_teeth(atlas: Atlas | None, count: int) -> tuple[Float[np.ndarray, " vertex"], Bool[np.ndarray, " vertex"]]:
    """The upper teeth, 1 at their biting edges, 0 at the gums, and those edges of the front ones; none without teeth.

    Args:
        atlas: Texture space of the teeth.
        count: Vertices of the head.
    """
    upper, incisors = np.zeros(count, np.float32), np.zeros(count, bool)
    if atlas is not None:
        above = atlas.uv[:, 1] > 0.5
        from_edge = from_biting_edge(atlas.uv[:, 1])
        # A vertex at a seam of the texture stays if any of its places does.
        upper[atlas.vertex[above]] = 1.0
        np.minimum.at(upper, atlas.vertex[above], (1.0 - from_edge[above]).astype(np.float32))
        front = above & (from_edge < _EDGE_HEIGHT) & (np.abs(atlas.uv[:, 0] - 0.5) < _FRONT_WIDTH)
        incisors[atlas.vertex[front]] = True
    return upper, incisors
