"""What is inside the mouth: teeth of the photographed colour and at the photographed place, the dark behind them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from model.face.morphable_model import MorphableModel
from model.face.regions import any_region
from model.geometry.mesh import vertex_normals
from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.foreign import pale_beside
from model.look.sampling import sample_photograph

_INNER_UPPER, _INNER_LOWER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""IBUG's inner contours of the lips, from the subject's right corner to the left."""
_COLUMNS, _ROWS = 25, 32
_MIDDLE = 0.35
"""Share of the mouth's width on either side of its middle that is looked at."""
_LEAST_OPENING = 0.06
"""Height over width of a mouth that shows anything."""
_LEAST_SHARE, _WHOLE_SHARE = 0.12, 0.85
"""Share of the opening that teeth must fill to be believed, and from which their edge lies behind the lower lip."""
_LARGEST_TURN_DEG = 40.0
_LOWEST_MM, _HIGHEST_MM, _BEHIND_LIP_MM = 4.0, -2.5, 0.8

_ALBEDO = {"teeth": (0.87, 0.82, 0.73), "tongue": (0.72, 0.42, 0.40), "mouth": (0.60, 0.30, 0.28)}
"""SRGB, where light falls."""
_DARKEST = {"teeth": 0.30, "tongue": 0.10, "mouth": 0.04}
_LIT_FROM_MM, _DARK_MM = 15.0, 40.0
"""Where the mouth begins to darken, and over which depth it does, besides what its exposure says."""
_EDGE_V, _EDGE_TO_GUMS_V = 0.24, 0.22
"""Of the teeth's tile, from its middle (`tools/head/teeth.py`)."""
_ARCH_MIDDLE_MM = np.array([0.0, -70.0, -20.0])
_FRONT_TEETH_MM = 23.0
_OPEN_EXPOSURE = 0.20
"""Exposure, with the jaw open, from which a place is as bright as it gets."""


@dataclass(frozen=True)
class PhotographedTeeth:
    """Teeth in a photograph.

    Attributes:
        color_srgb: Their colour in [0, 1], light included.
        lower_by_mm: How far the upper teeth's edge lies below where the fitted head has it.
    """

    color_srgb: Float[np.ndarray, "3"]
    lower_by_mm: float


def photographed_teeth(
    result: FaceResult, photograph_srgb: UInt8[np.ndarray, "height width 3"], incisors: Bool[np.ndarray, " vertex"]
) -> PhotographedTeeth | None:
    """Look for teeth between the lips; None where none are seen, or the head is turned too far.

    Args:
        result: The face.
        photograph_srgb: The photograph.
        incisors: Vertices of the biting edges of the upper front teeth.
    """
    points = result.landmarks68_px
    width = float(np.linalg.norm(points[64] - points[60]))
    upper, lower = points[list(_INNER_UPPER)], points[list(_INNER_LOWER)]
    opening = float(np.median(np.linalg.norm(lower[1:4] - upper[1:4], axis=1)))
    turned = float(np.abs(result.yaw_pitch_roll_degrees[:2]).max())
    if opening < _LEAST_OPENING * width or opening < 3.0 or turned > _LARGEST_TURN_DEG or not incisors.any():
        return None
    along = np.linspace(0.5 - _MIDDLE, 0.5 + _MIDDLE, _COLUMNS) * 4.0
    down = (np.arange(_ROWS) + 0.5)[None, :, None] / _ROWS
    first, last = (np.stack([np.interp(along, range(5), side[:, k]) for k in (0, 1)], 1) for side in (upper, lower))
    grid = first[:, None] + down * (last - first)[:, None]
    colors = sample_photograph(photograph_srgb, grid.reshape(-1, 2)).reshape(_COLUMNS, _ROWS, 3)
    lip = np.median(sample_photograph(photograph_srgb, 0.5 * (points[48:60:2] + points[[60, 61, 63, 64, 65, 67]])), 0)
    teeth = pale_beside(colors, lip)
    if teeth.mean() < _LEAST_SHARE:
        return None
    bright = colors[teeth]
    order = np.argsort(bright.mean(1))
    color = bright[order[int(0.4 * len(order)) : int(0.9 * len(order)) + 1]].mean(0)
    # The lowest tooth in each column, as a share of the opening, and where the fitted edge lies on the same scale.
    ends = np.array([np.flatnonzero(column)[-1] + 1.0 for column in teeth if column.any()]) / _ROWS
    edge_px = float(result.vertices_image[incisors, 1].mean())
    top_px, bottom_px = float(first[:, 1].mean()), float(last[:, 1].mean())
    mm_per_px = float(np.median(result.vertices_image[incisors, 2])) / float(result.intrinsics_px[1, 1])
    found_px = top_px + float(np.median(ends)) * (bottom_px - top_px)
    lower_by = (found_px - edge_px) * mm_per_px
    if np.median(ends) > _WHOLE_SHARE:
        lower_by = max((bottom_px - edge_px) * mm_per_px + _BEHIND_LIP_MM, 0.0)
    return PhotographedTeeth(color.astype(np.float32), float(np.clip(lower_by, _HIGHEST_MM, _LOWEST_MM)))


def draw_inside(
    model: MorphableModel,
    atlas: Atlas,
    teeth_srgb: Float[np.ndarray, "3"] | None,
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw the albedo of a part of the mouth, darker the less light comes to it through the lips.

    Args:
        model: The head.
        atlas: Texture space of `teeth`, `tongue` or `mouth`.
        teeth_srgb: Albedo of photographed teeth; a common ivory if None.
    """
    part = atlas.part
    base = np.array(_ALBEDO[part], np.float32)
    if part == "teeth" and teeth_srgb is not None:
        base = np.clip(0.75 * teeth_srgb + 0.25 * base, 0.35, 0.93).astype(np.float32)
    depth_mm = np.clip(_LIT_FROM_MM - model.mean_mm.cpu().numpy()[:, 2], 0.0, None)
    open_share = np.clip(model.exposure.cpu().numpy() / _OPEN_EXPOSURE, 0.0, 1.0) ** 0.8 * np.exp(-depth_mm / _DARK_MM)
    if part == "teeth":
        open_share = _in_the_light(model)
    elif part == "mouth":
        open_share = np.maximum(open_share, _in_the_light(model) * _gums(model))
    bright = _DARKEST[part] + (1.0 - _DARKEST[part]) * open_share
    color = np.repeat(base[None], len(bright), axis=0) * bright[:, None]
    if part == "teeth":
        color *= 1.0 - 0.5 * _grooves(model)[:, None]
    texels = atlas.sample(color)
    if part == "teeth":
        texels = texels * _enamel(atlas)
    return np.rint(255.0 * np.clip(texels, 0.0, 1.0)).astype(np.uint8)[atlas.nearest]


def _gums(model: MorphableModel) -> Bool[np.ndarray, " vertex"]:
    """The gums with palate and throat: what of the mouth is not joined to the lips."""
    faces = model.faces.cpu().numpy().astype(np.int64)
    ends = (faces.ravel(), np.roll(faces, 1, axis=1).ravel())
    count = len(model.mirror)
    labels = connected_components(coo_matrix((np.ones(faces.size), ends), shape=(count, count)), directed=False)[1]
    skin = labels[any_region(model, "skin").cpu().numpy()]
    return any_region(model, "mouth_inner").cpu().numpy() & ~np.isin(labels, skin)


def _in_the_light(model: MorphableModel) -> Float[np.ndarray, " vertex"]:
    """Share of the light that comes to teeth and gums: less the farther back, less to their inner sides.

    Not their exposure with the jaw open, when the upper lip covers what a smile shows.
    """
    mean = model.mean_mm.cpu().numpy()
    normals = vertex_normals(model.mean_mm[None].cpu(), model.faces.cpu())[0].numpy()
    outwards = (mean - _ARCH_MIDDLE_MM) * (1.0, 0.0, 1.0)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
    outer = np.clip(0.65 + 0.8 * (normals * outwards).sum(1), 0.25, 1.0)
    depth_mm = _FRONT_TEETH_MM - mean[:, 2]
    return np.clip(np.exp(-np.clip(depth_mm - 4.0, 0.0, None) / 26.0), 0.0, 1.0) * outer


def _grooves(model: MorphableModel) -> Float[np.ndarray, " vertex"]:
    """How deep each vertex of the teeth lies between its neighbours, [0, 1]: dark lines from tooth to tooth."""
    mean, faces = model.mean_mm.cpu().numpy(), model.faces.cpu().numpy().astype(np.int64)
    faces = faces[any_region(model, "teeth").cpu().numpy()[faces].all(1)]
    normals = vertex_normals(model.mean_mm[None].cpu(), model.faces.cpu())[0].numpy()
    total, count = np.zeros_like(mean), np.full(len(mean), 1e-6)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        for start, end in ((one, two), (two, one)):
            np.add.at(total, faces[:, start], mean[faces[:, end]])
            np.add.at(count, faces[:, start], 1.0)
    depth = ((total / count[:, None] - mean) * normals).sum(1)
    return np.clip(depth / 0.35, 0.0, 1.0)


def from_biting_edge(v: Float[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
    """From 0 at the biting edge to 1 at the gums, on either side of a tooth, by the v of the teeth's tile."""
    return np.clip(np.abs(np.abs(v - 0.5) - _EDGE_V) / _EDGE_TO_GUMS_V, 0.0, 1.0)


def _enamel(atlas: Atlas) -> Float[np.ndarray, "texel 3"]:
    """A little yellower towards the gums, a little bluer and clearer towards the edge."""
    row, _ = np.nonzero(atlas.covered)
    from_edge = from_biting_edge(1.0 - (row + 0.5) / len(atlas.covered))
    gums = np.clip((from_edge - 0.4) / 0.5, 0.0, 1.0)[:, None]
    edge = np.clip(1.0 - from_edge / 0.2, 0.0, 1.0)[:, None]
    return 1.0 - gums * np.array([0.05, 0.11, 0.20]) - edge * np.array([0.07, 0.04, 0.01])
