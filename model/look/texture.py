"""The textures of a head: what the photograph shows of it, and its skin without the photograph's light.

seen:    skin = photograph / shading                               light was found at the vertices
mirror:  skin = photograph of the other side / what it is there x base here
nowhere: skin = base, the albedo model led into what was seen without a step
the unlit texture = photograph where it saw the head, else skin x shading
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from common.photograph import has_color
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region, facial_skin
from model.geometry.mesh import vertex_normals
from model.look.appearance import Appearance
from model.look.atlas import Atlas
from model.look.completion import continue_inwards, continue_mirrored, spread
from model.look.face_result import FaceResult
from model.look.fine_normals import FineRelief, fine_relief
from model.look.foreign import ForeignColors, foreign_colors
from model.look.photograph_light import PhotographLight, TracedSkin, photograph_light, without_gloss
from model.look.sampling import BYTE_OF_ROOT, LINEAR_OF_BYTE, sample_mask, sample_photograph, sample_softened
from model.look.texel_kernels import compose, encode
from model.look.visibility import visibility
from model.render.color import linear_to_srgb

_VERTEX_RADIUS_MM = 1.0
_LEAST_LINEAR = 2e-3
_MIRROR_CONTRAST = (0.4, 2.5)
"""Bounds of a mirrored texel over the coarse colour of its place: a highlight or a hair is not carried over whole."""
_EAR_TOLERANCE = 0.25
"""Distance in sRGB from the expected skin at which an ear's pixel counts half."""
_FEWEST_SURE_VERTICES = 50
_FOLDED, _OPEN, _WELL = 0.15, 0.35, 0.6
"""Exposure at rest up to which a place counts as hidden in a fold, from which it is open skin, and well so."""
_NOSTRIL_DARK = 0.75
"""Share of the brightness, in sRGB, that is gone at the end of a nostril."""
_NOSE_MARGIN_MM = 3.0
_RELIEF_PX, _COARSE_PX = 2048, 512
"""Sides of what is coarser than the textures: normals; where texels came from, and occlusion."""
_DARK_SIDE, _BRIGHT_SIDE = 0.35, 1.6
"""Bounds of the shading over the face's own where the unlit texture is completed."""


@dataclass(frozen=True)
class PartTexture:
    """What covers a part of a head; row 0 is the top, v = 1.

    Attributes:
        image_srgb: What the photograph shows, light included.
        albedo_srgb: The same without light: diffuse albedo, encoded.
    """

    image_srgb: UInt8[np.ndarray, "size size 3"]
    albedo_srgb: UInt8[np.ndarray, "size size 3"]


@dataclass(frozen=True)
class Texture(PartTexture):
    """A head's skin.

    Attributes:
        normal: Pores and wrinkles: tangent-space normals as glTF has them, 255 (n + 1) / 2, green up; at most 2048 px.
        occlusion: Share of light from everywhere that the head lets through to its own skin, 255 is all; coarser.
        vertex_occlusion: The same at the head's vertices, in [0, 1].
        source: Red: from the photograph; green: from its mirror side; blue: from the model; mixed where blended. At
            most 512 px.
    """

    normal: UInt8[np.ndarray, "fine fine 3"]
    occlusion: UInt8[np.ndarray, "coarse coarse"]
    vertex_occlusion: Float[np.ndarray, " vertex"]
    source: UInt8[np.ndarray, "some some 3"]


@dataclass(frozen=True)
class VertexColors:
    """What the texels are made of, at the vertices; linear RGB.

    Attributes:
        here: How far the photograph shows each vertex, in [0, 1].
        there: How far it shows its mirror vertex instead; the two add to 1 at most.
        base_linear: Coarse albedo of the whole head.
        shading_linear: What it is multiplied with in the photograph.
        mirror_shading_linear: What the photograph of the mirror vertex is to be divided by to be this vertex's albedo.
        light: What was found of the light.
        color: False for a black-and-white photograph.
    """

    here: Float[np.ndarray, " vertex"]
    there: Float[np.ndarray, " vertex"]
    base_linear: Float[np.ndarray, "vertex 3"]
    shading_linear: Float[np.ndarray, "vertex 3"]
    mirror_shading_linear: Float[np.ndarray, "vertex 3"]
    light: PhotographLight
    color: bool


def draw_texture(
    colors: VertexColors,
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
    skin_mask: Float[np.ndarray, "height width"] | None = None,
) -> Texture:
    """Draw the textures of the skin of a head whose colours are known; arguments as of `vertex_colors`."""
    albedo, image = _composed(colors, result, photograph_srgb, morphable_model, atlas, skin_mask)
    relief = _relief(albedo, colors, result, morphable_model, atlas)
    gain = np.exp(-relief.shade_log)
    if len(gain) != len(atlas.covered):
        gain = cv2.resize(gain, atlas.covered.shape, interpolation=cv2.INTER_LINEAR)
    albedo_srgb, image_srgb = (np.empty((*atlas.covered.shape, 3), np.uint8) for _ in range(2))
    encode(albedo, gain, image, atlas.nearest, BYTE_OF_ROOT, albedo_srgb, image_srgb)
    shares = np.stack((colors.here, colors.there, 1.0 - colors.here - colors.there), axis=1)
    return Texture(
        image_srgb=image_srgb,
        albedo_srgb=albedo_srgb,
        normal=_encoded(relief.normal_xy),
        occlusion=_as_bytes(atlas.coarse(colors.light.occlusion[:, None], _COARSE_PX))[..., 0],
        vertex_occlusion=colors.light.occlusion,
        source=_as_bytes(atlas.coarse(shares, _COARSE_PX)),
    )


def _relief(
    albedo_linear: Float[np.ndarray, "texel 3"],
    colors: VertexColors,
    result: FaceResult,
    morphable_model: MorphableModel,
    atlas: Atlas,
) -> FineRelief:
    """Pores and wrinkles at their own resolution."""
    bare = facial_skin(morphable_model).cpu().numpy() * (colors.here + colors.there)
    step = max(1, len(atlas.covered) // _RELIEF_PX)
    rows = atlas.nearest[step // 2 :: step, step // 2 :: step] if step > 1 else atlas.nearest
    if not bare[atlas.vertex].any():
        return FineRelief(np.zeros((*rows.shape, 2), np.float32), np.zeros(rows.shape, np.float32))
    place, slope = result.vertices_camera_mm, colors.light.slope
    return fine_relief(albedo_linear[rows], place, slope, bare, colors.here, atlas)


def _composed(
    colors: VertexColors,
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
    skin_mask: Float[np.ndarray, "height width"] | None,
) -> tuple[Float[np.ndarray, "texel 3"], UInt8[np.ndarray, "texel 3"]]:
    """Albedo, linear RGB, and unlit picture of the texels on the head."""
    mirror = morphable_model.mirror.cpu().numpy()
    gloss = colors.light.gloss_linear
    fields = (
        colors.base_linear,
        1.0 / colors.shading_linear,
        gloss,
        1.0 / colors.mirror_shading_linear,
        gloss[mirror],
        _shown(colors),
    )
    places = result.vertices_image[:, :2]
    corners = atlas.sampling.indices.reshape(-1, 3)
    albedo = np.empty((len(corners), 3), np.float32)
    image = np.empty(albedo.shape, np.uint8)
    compose(
        corners,
        atlas.sampling.data.reshape(-1, 3),
        np.ascontiguousarray(photograph_srgb),
        # Finer than the vertices: a hairline runs between them.
        np.ones((1, 1), np.float32) if skin_mask is None else _taken(skin_mask),
        LINEAR_OF_BYTE,
        BYTE_OF_ROOT,
        np.concatenate((places, places[mirror]), axis=1),
        np.stack((colors.here, colors.there), axis=1),
        np.concatenate(fields, axis=1).astype(np.float32),
        _MIRROR_CONTRAST,
        not colors.color,
        albedo,
        image,
    )
    return albedo, image


def vertex_colors(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
    appearance: Appearance | None = None,
    skin_mask: Float[np.ndarray, "height width"] | None = None,
) -> VertexColors:
    """Find the light, complete the skin and say what is seen, at the vertices.

    Args:
        result: The face, in px of the photograph.
        photograph_srgb: The photograph.
        morphable_model: Its head, for the mirror table and the regions.
        atlas: Its texture space.
        appearance: What a ray-traced refinement found, whose albedo `result` has at its vertices.
        skin_mask: How far each pixel of the photograph may be taken, in [0, 1]: not where it shows background, hair or
            clothes. None takes all.
    """
    mirror = morphable_model.mirror.cpu().numpy()
    normals = vertex_normals(torch.from_numpy(result.vertices_camera_mm)[None], morphable_model.faces.cpu())[0].numpy()
    color = has_color(photograph_srgb)
    observed = np.maximum(sample_softened(result, photograph_srgb, _VERTEX_RADIUS_MM), _LEAST_LINEAR)
    mouth = any_region(morphable_model, "mouth_inner", "teeth").cpu().numpy()
    behind = any_region(morphable_model, "eyes").cpu().numpy() | mouth
    here = visibility(result, normals, photograph_srgb.shape[:2], behind)
    if skin_mask is not None:
        here *= sample_mask(_taken(skin_mask), result.vertices_image[:, :2])
    # Too little of the tongue is ever seen to tell its colour; what is, is lips or teeth by a fit that is not exact.
    here[any_region(morphable_model, "tongue").cpu().numpy()] = 0.0
    lips, lids = _foreign(result, photograph_srgb, here, morphable_model)
    # Between a foreign vertex and its neighbours texels are foreign as well.
    here[abs(atlas.laplacian) @ (lips.pale | lips.dark | lids.pale).astype(float) > 0.0] = 0.0
    # What lies in a fold is never seen cleanly: pixels of its rim would be drawn out over it.
    inside = any_region(morphable_model, *NO_SKIN).cpu().numpy()
    exposure = morphable_model.exposure.cpu().numpy()
    here *= np.where(inside, 1.0, np.clip((exposure - _FOLDED) / (_OPEN - _FOLDED), 0.0, 1.0))
    light = photograph_light(
        result, normals, here, observed, morphable_model, atlas.laplacian, color, _traced(result, appearance, atlas)
    )
    here *= light.trust
    # What the photograph says of the skin beyond the model, as the log of a factor.
    observed = without_gloss(observed, light.gloss_linear)
    difference = np.log(observed / light.shading_linear / light.albedo_linear)
    tone = _tone(difference, here)
    ears = any_region(morphable_model, "ears").cpu().numpy()
    here *= _plausible(observed, light, tone, ears)
    there = (1.0 - here) * here[mirror]
    # Known on what is seen and continued over the rest. Not within the mouth: lips, teeth and gums lie too close
    # together there to be told apart by an inexact fit.
    base = continue_mirrored(difference, here * ~mouth, mirror, atlas.laplacian, tone)
    # Ears that hair hides are skin nevertheless: they do not take the hair's tone, which the skull keeps
    # farther on. So soft that no island shows about them.
    known = (here + there).clip(max=1.0)
    hidden_ears = np.clip(1.5 * spread(ears * (1.0 - known), atlas.laplacian, rings=120)[:, None], 0.0, 1.0)
    base = base * (1.0 - hidden_ears) + tone * hidden_ears
    skin_log, shading_log = _fill_folds(
        np.log(np.clip(light.albedo_linear, _LEAST_LINEAR, 1.0)) + base,
        np.log(light.shading_linear),
        inside,
        lids.pale | lids.dim,
        morphable_model,
        atlas,
    )
    base_linear = np.clip(np.exp(skin_log), _LEAST_LINEAR, 1.0).astype(np.float32)
    return VertexColors(
        here=here.astype(np.float32),
        there=there.astype(np.float32),
        base_linear=base_linear,
        shading_linear=np.exp(shading_log).astype(np.float32),
        mirror_shading_linear=(observed[mirror] / base_linear).astype(np.float32),
        light=light,
        color=color,
    )


def _foreign(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    seen: Float[np.ndarray, " vertex"],
    model: MorphableModel,
) -> tuple[ForeignColors, ForeignColors]:
    """What the photograph shows on lips and on lids that is not theirs."""
    photograph = sample_photograph(photograph_srgb, result.vertices_image[:, :2])
    sure = (seen > 0.5) & (model.exposure.cpu().numpy() > _WELL)
    lips, lids = (
        foreign_colors(photograph, any_region(model, name).cpu().numpy(), sure) for name in ("lips", "eyelids")
    )
    return lips, lids


def _fill_folds(
    skin_log: Float[np.ndarray, "vertex 3"],
    shading_log: Float[np.ndarray, "vertex 3"],
    inside: Bool[np.ndarray, " vertex"],
    lashes: Bool[np.ndarray, " vertex"],
    model: MorphableModel,
    atlas: Atlas,
) -> tuple[Float[np.ndarray, "vertex 3"], Float[np.ndarray, "vertex 3"]]:
    """Nostrils, lids and the inside of the lips in skin and light of their rims; nostrils darken to their ends.

    The model's shading, which leads colours elsewhere, turns about in a fold and would draw lines there. Lashes, and
    what else is not the lids' own skin, stay where they are seen and colour nothing else.
    """
    exposure = model.exposure.cpu().numpy()
    hidden = ~inside & (exposure < _OPEN)
    if not hidden.any():
        return skin_log, shading_log
    both = np.concatenate((skin_log, shading_log), axis=1)
    both[hidden] = continue_inwards(both, hidden, ~inside & (hidden | ~lashes), atlas.laplacian)[hidden]
    deep = 1.0 - np.clip(exposure / _OPEN, 0.0, 1.0)
    # In the skin: lamps of a viewer shine through the head into a nostril.
    both[:, :3] += 2.2 * np.log(1.0 - _NOSTRIL_DARK * deep * (hidden & _about_nose(model)))[:, None]
    return both[:, :3], both[:, 3:]


def _about_nose(model: MorphableModel) -> Bool[np.ndarray, " vertex"]:
    """The nose with what lies in its nostrils, which its region does not reach; lids and lips left out."""
    nose = any_region(model, "nose").cpu().numpy()
    if not nose.any():
        return nose
    mean = model.mean_mm.cpu().numpy()
    low, high = mean[nose].min(0) - _NOSE_MARGIN_MM, mean[nose].max(0) + _NOSE_MARGIN_MM
    high[1] = mean[nose, 1].mean()
    near = ((mean[:, :2] >= low[:2]) & (mean[:, :2] <= high[:2])).all(1)
    return (nose | near) & ~any_region(model, "lips", "eyelids", "ears").cpu().numpy()


def _taken(skin_mask: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """How far a mask lets pixels be taken. Half a mask is a border, where colours are mixed: it takes nothing."""
    return np.clip(2.5 * skin_mask - 1.5, 0.0, 1.0).astype(np.float32)


def _shown(colors: VertexColors) -> Float[np.ndarray, "vertex 3"]:
    """The shading that completed skin is shown in: a hidden side in full night would look like a hole."""
    seen = colors.here > 0.5
    if not seen.any():
        return colors.shading_linear
    middle = np.median(colors.shading_linear[seen], axis=0)
    return np.clip(colors.shading_linear, _DARK_SIDE * middle, _BRIGHT_SIDE * middle)


def _traced(result: FaceResult, appearance: Appearance | None, atlas: Atlas) -> TracedSkin | None:
    if appearance is None:
        return None
    side = len(appearance.known)
    column, row = np.stack((atlas.uv[:, 0], 1.0 - atlas.uv[:, 1]), axis=0)
    rows, columns = ((values * side).astype(int).clip(0, side - 1) for values in (row, column))
    known = np.zeros(len(result.vertices_mm), np.float32)
    known[atlas.vertex] = appearance.known[rows, columns]
    return TracedSkin(result.albedo_vertex_linear, known)


def _encoded(normal_xy: Float[np.ndarray, "size size 2"]) -> UInt8[np.ndarray, "size size 3"]:
    """Unit normals as bytes."""
    upwards = np.sqrt(1.0 - np.square(normal_xy).sum(-1, keepdims=True).clip(max=0.99))
    return np.rint(127.5 * (np.concatenate((normal_xy, upwards), axis=-1) + 1.0)).astype(np.uint8)


def _as_bytes(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)


def _tone(difference: Float[np.ndarray, "vertex 3"], weight: Float[np.ndarray, " vertex"]) -> Float[np.ndarray, "3"]:
    """By how much the skin differs from the model's where the photograph shows it well, by channel."""
    sure = weight > 0.8
    if sure.sum() < _FEWEST_SURE_VERTICES:
        return np.zeros(3, np.float32)
    return np.median(difference[sure], axis=0)


def _plausible(
    observed: Float[np.ndarray, "vertex 3"],
    light: PhotographLight,
    tone: Float[np.ndarray, "3"],
    doubted: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """Weights that leave out what is not the doubted part itself: hair lies over most ears and would be painted on."""
    expected = light.albedo_linear * np.exp(tone) * light.shading_linear
    both = np.clip(np.stack((observed, expected)), 0.0, 1.0).astype(np.float32)
    seen_srgb, expected_srgb = linear_to_srgb(torch.from_numpy(both)).numpy()
    distance = np.linalg.norm(seen_srgb - expected_srgb, axis=1)
    return np.where(doubted, 1.0 / (1.0 + (distance / _EAR_TOLERANCE) ** 4), 1.0).astype(np.float32)
