"""The texture: unwrapped from the photograph where it saw the head, completed from the mirror side and the model."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from common.photograph import has_color
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region
from model.geometry.mesh import vertex_normals
from model.look.atlas import Atlas
from model.look.completion import continue_difference, continue_inwards, spread
from model.look.face_result import FaceResult
from model.look.foreign import foreign_colors
from model.look.sampling import sample_photograph
from model.look.visibility import visibility
from model.render.color import linear_to_srgb, luminance
from model.render.lighting import shade

_RELIGHTING = (0.7, 1.4)
"""Bounds of the factor between the light on one side of a face and on the other."""
_EAR_TOLERANCE = 0.25
"""Distance in sRGB from the expected skin at which an ear's pixel counts half."""
_FEWEST_SURE_VERTICES = 50
_FOLDED, _OPEN, _WELL = 0.15, 0.35, 0.6
"""Exposure at rest up to which a place counts as hidden in a fold, from which it is open skin, and well so."""
_NOSTRIL_DARK = 0.75
_NOSE_MARGIN_MM = 3.0


@dataclass(frozen=True)
class Texture:
    """A head's texture.

    Attributes:
        image_srgb: What the photograph shows, light included.
        source: Red: from the photograph; green: from its mirror side; blue: from the model; mixed where blended.
    """

    image_srgb: UInt8[np.ndarray, "size size 3"]
    source: UInt8[np.ndarray, "size size 3"]


@dataclass(frozen=True)
class VertexColors:
    """What is known of a head's colours, sRGB in [0, 1], from which the textures of its parts are drawn.

    Attributes:
        here: How well the photograph shows each vertex, [0, 1].
        there: How far its mirror vertex has to stand in for it, [0, 1].
        relit: Factor in sRGB: the light on this side over that on the mirror side.
        completed: Every vertex's colour without the photograph's detail: the model's, led into the photograph's.
    """

    here: Float[np.ndarray, " vertex"]
    there: Float[np.ndarray, " vertex"]
    relit: Float[np.ndarray, "vertex 1"]
    completed: Float[np.ndarray, "vertex 3"]


def unwrap(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
) -> Texture:
    """Make the texture of a face's skin.

    Args:
        result: The face, in px of the photograph.
        photograph_srgb: The photograph.
        morphable_model: Its head, for the mirror table and the regions.
        atlas: Its texture space.
    """
    colors = vertex_colors(result, photograph_srgb, morphable_model, atlas)
    return draw_texture(colors, result, photograph_srgb, morphable_model, atlas)


def draw_texture(
    colors: VertexColors,
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
) -> Texture:
    """Draw the texture of one part of a head whose colours are known; arguments as of `unwrap`."""
    mirror = morphable_model.mirror.cpu().numpy()
    # Per texel of the atlas: how far here and there count, and the three colours in sRGB that are mixed.
    weights = atlas.sample(np.stack([colors.here, colors.there], axis=1))
    from_photograph = sample_photograph(photograph_srgb, atlas.sample(result.vertices_image)[:, :2])
    mirrored = sample_photograph(photograph_srgb, atlas.sample(result.vertices_image[mirror])[:, :2])
    from_mirror = mirrored * atlas.sample(colors.relit)
    base = np.clip(atlas.sample(colors.completed), 0.0, 1.0)
    # The mix; what neither side shows is left to the model. Then the texels become a picture.
    weights = np.concatenate([weights, 1.0 - weights.sum(1, keepdims=True)], axis=1).clip(0.0, 1.0)
    color = from_photograph * weights[:, :1] + from_mirror * weights[:, 1:2] + base * weights[:, 2:]
    return Texture(_fill(color, atlas), _fill(weights, atlas))


def vertex_colors(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
) -> VertexColors:
    """Find out how well each vertex is seen, and complete the colours; arguments as of `unwrap`."""
    # Per vertex, sRGB in [0, 1]: what the model says of it.
    mirror = morphable_model.mirror.cpu().numpy()
    normals = vertex_normals(torch.from_numpy(result.vertices_camera_mm)[None], morphable_model.faces.cpu())
    model = _shaded(result, normals)
    if not has_color(photograph_srgb):
        # A black-and-white photograph's head must not be coloured beyond it.
        model = np.repeat(luminance(torch.from_numpy(model)).numpy()[:, None], 3, axis=1)
    # Per vertex, what the photograph shows (sRGB), and how well, in [0, 1]: `here` at it, `there` at its mirror vertex.
    photograph = sample_photograph(photograph_srgb, result.vertices_image[:, :2])
    mouth = any_region(morphable_model, "mouth_inner", "teeth").cpu().numpy()
    behind = any_region(morphable_model, "eyes").cpu().numpy() | mouth
    here = visibility(result, normals[0].numpy(), photograph_srgb.shape[:2], behind)
    tongue = any_region(morphable_model, "tongue").cpu().numpy()
    # Too little of it is ever seen to tell its colour; what is, is lips or teeth by a fit that is not exact.
    here[tongue] = 0.0
    exposure = morphable_model.exposure.cpu().numpy()
    foreign = [
        foreign_colors(photograph, any_region(morphable_model, name).cpu().numpy(), (here > 0.5) & (exposure > _WELL))
        for name in ("lips", "eyelids")
    ]
    # Between a foreign vertex and its neighbours texels are foreign as well.
    here[np.abs(atlas.laplacian) @ (foreign[0].pale | foreign[0].dark | foreign[1].pale).astype(float) > 0.0] = 0.0
    # What lies in a fold is never seen cleanly: pixels of its rim would be drawn out over it.
    inside = any_region(morphable_model, *NO_SKIN).cpu().numpy()
    here *= np.where(inside, 1.0, np.clip((exposure - _FOLDED) / (_OPEN - _FOLDED), 0.0, 1.0))
    tone = _tone(photograph, model, here)
    ears = any_region(morphable_model, "ears").cpu().numpy()
    here *= _plausible(photograph, tone * model, ears)
    there = (1.0 - here) * here[mirror]
    # Per vertex, a factor in sRGB: the light on this side over that on the mirror side.
    # One factor for all channels: the estimated colour of the light differs between the sides by more than it should.
    brightness = model.mean(1, keepdims=True)
    relit = np.clip(brightness / np.clip(brightness[mirror], 0.02, None), *_RELIGHTING)
    # Per vertex, sRGB: what the photograph adds to the model, known on the seen vertices, is continued over the others.
    # Not within the mouth: lips, teeth and gums lie too close together there to be told apart by an inexact fit.
    known = (here + there).clip(max=1.0) * ~mouth
    mixed = (here[:, None] * photograph + there[:, None] * relit * photograph[mirror]) / known[:, None].clip(min=1e-6)
    far = (tone - 1.0) * model
    added = continue_difference(mixed - model, known, atlas.laplacian, far)
    # Ears that hair hides are skin nevertheless: they do not take the hair's tone, which the skull farther on keeps.
    # So soft that no island shows about them.
    hidden_ears = np.clip(1.5 * spread(ears * (1.0 - known), atlas.laplacian, rings=120)[:, None], 0.0, 1.0)
    added = added * (1.0 - hidden_ears) + far * hidden_ears
    completed = _fill_folds(model + added, inside, foreign[1].pale | foreign[1].dim, morphable_model, atlas)
    return VertexColors(here, there, relit, completed)


def _fill_folds(
    completed: Float[np.ndarray, "vertex 3"],
    inside: Bool[np.ndarray, " vertex"],
    lashes: Bool[np.ndarray, " vertex"],
    model: MorphableModel,
    atlas: Atlas,
) -> Float[np.ndarray, "vertex 3"]:
    """Nostrils, lids and the inside of the lips in the colours of their rims; nostrils darken to their ends.

    The model's shading, which leads colours elsewhere, turns about in a fold and would draw lines there. Lashes, and
    what else is not the lids' own skin, stay where they are seen and colour nothing else.
    """
    exposure = model.exposure.cpu().numpy()
    hidden = ~inside & (exposure < _OPEN)
    if not hidden.any():
        return completed
    filled = completed.copy()
    filled[hidden] = continue_inwards(completed, hidden, ~inside & (hidden | ~lashes), atlas.laplacian)[hidden]
    deep = 1.0 - np.clip(exposure / _OPEN, 0.0, 1.0)
    filled *= 1.0 - _NOSTRIL_DARK * (deep * (hidden & _about_nose(model)))[:, None]
    return filled


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


def _shaded(result: FaceResult, normals: Float[Tensor, "1 vertex 3"]) -> Float[np.ndarray, "vertex 3"]:
    """The head of the components alone, sRGB: where the photograph is to be continued the residual is a guess too."""
    shading = shade(normals, torch.from_numpy(result.lighting)[None])[0].clamp(min=0.05).numpy()
    return linear_to_srgb(torch.from_numpy(np.clip(result.albedo_components_linear * shading, 0, 1))).numpy()


def _tone(
    photograph: Float[np.ndarray, "vertex 3"],
    model: Float[np.ndarray, "vertex 3"],
    weight: Float[np.ndarray, " vertex"],
) -> Float[np.ndarray, "3"]:
    """The photograph's colours over the model's, by channel, where it shows the head well."""
    sure = weight > 0.8
    if sure.sum() < _FEWEST_SURE_VERTICES:
        return np.ones(3, np.float32)
    return np.median(photograph[sure] / np.clip(model[sure], 0.05, None), axis=0)


def _plausible(
    photograph: Float[np.ndarray, "vertex 3"],
    expected: Float[np.ndarray, "vertex 3"],
    doubted: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """Weights that leave out what is not the doubted part itself: hair lies over most ears and would be painted on."""
    distance = np.linalg.norm(photograph - expected, axis=1)
    return np.where(doubted, 1.0 / (1.0 + (distance / _EAR_TOLERANCE) ** 4), 1.0).astype(np.float32)


def _fill(values: Float[np.ndarray, "texel channel"], atlas: Atlas) -> UInt8[np.ndarray, "size size channel"]:
    """Texels into an image; those beyond the islands repeat the nearest one, against seams when it is sampled."""
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)[atlas.nearest]
