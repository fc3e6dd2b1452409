"""How a head looks in its parts: its shape as it is shown, and a texture for each part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from common.photograph import has_color
from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas
from model.look.eyes import draw_eyes, eye_colors
from model.look.face_result import FaceResult
from model.look.head_shape import HeadShape, head_shape
from model.look.light import in_light, light_towards_camera, without_light
from model.look.lips import LipSeam
from model.look.mouth import draw_inside, from_biting_edge, photographed_teeth
from model.look.texture import draw_texture, vertex_colors
from model.render.color import luminance

_EDGE_HEIGHT, _FRONT_WIDTH = 0.18, 0.13
"""Of the upper front teeth's biting edges: share of the way to the gums, and u from the middle of the tile."""

_UNSEEN_LOWER_MM = 1.5
"""Upper teeth that no photograph shows stand so much lower than the head model's, which an open mouth hides."""


@dataclass(frozen=True)
class HeadLook:
    """A head in its parts.

    Attributes:
        shape: Its vertices at rest and its expressions.
        images_srgb: Texture of each part by name, the photograph's light included.
        albedo_srgb: Texture without light of each part but the skin.
        source: Where the skin's texels came from, as `model.look.texture.Texture` says.
    """

    shape: HeadShape
    images_srgb: dict[str, UInt8[np.ndarray, "_ _ 3"]]
    albedo_srgb: dict[str, UInt8[np.ndarray, "_ _ 3"]]
    source: UInt8[np.ndarray, "size size 3"]


def head_look(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    model: MorphableModel,
    atlases: Sequence[Atlas],
    seam: LipSeam | None,
) -> HeadLook:
    """Work out the shape and all textures.

    Args:
        result: The face.
        photograph_srgb: The photograph.
        model: Its head.
        atlases: Texture spaces of its parts, the skin's first.
        seam: Where the head's lips meet.
    """
    colors = vertex_colors(result, photograph_srgb, model, atlases[0])
    skin = draw_texture(colors, result, photograph_srgb, model, atlases[0])
    light, by_name = light_towards_camera(result), {atlas.part: atlas for atlas in atlases}
    upper, incisors = upper_teeth(by_name.get("teeth"), len(model.mirror))
    teeth = photographed_teeth(result, photograph_srgb, incisors)
    eyes = eye_colors(result, photograph_srgb, colors.here, by_name["eyes"]) if "eyes" in by_name else None
    images, albedo = {atlases[0].part: skin.image_srgb}, {}
    for atlas in atlases[1:]:
        if atlas.part == "eyes" and eyes is not None:
            shown = [None if color is None else without_light(color, light) for color in (eyes.iris, eyes.white)]
            albedo[atlas.part] = draw_eyes(shown[0], shown[1], atlas)
        else:
            color = None if teeth is None else without_light(teeth.color_srgb, light)
            albedo[atlas.part] = draw_inside(model, atlas, color)
        lit = in_light(albedo[atlas.part] / 255.0, light)
        if not has_color(photograph_srgb):
            lit = np.repeat(luminance(torch.from_numpy(lit))[..., None].numpy(), 3, axis=-1)
        images[atlas.part] = np.rint(255.0 * lit).astype(np.uint8)
    lower_by_mm = _UNSEEN_LOWER_MM if teeth is None else teeth.lower_by_mm
    shape = head_shape(result, model, seam, upper, lower_by_mm)
    return HeadLook(shape, images, albedo, skin.source)


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
