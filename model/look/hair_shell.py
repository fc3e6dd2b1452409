"""The shape of hair: a shell of one radius for each ray of `HairGrid`, whose outline is that of the mask.

Where a ray runs across the view, the mask's outline tells how far out the hair is. Towards the viewer and behind the
head nobody sees it: there the thickness is continued as smoothly as possible from where it is known, from the mirror
side as well, and thins out towards the hairline. Chai et al. ("Single-View Hair Modeling", 2012) and the shells of
avatar systems begin so as well.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csc_matrix, dia_matrix, diags, identity, kron

from model.face.morphable_model import MorphableModel
from model.look.completion import factorized
from model.look.face_result import FaceResult
from model.look.hair_grid import COLUMNS, DOME_ROWS, ROWS, HairGrid, ScalpTemplate, hair_grid, outer_radius
from model.person.classes import HAIR, SKIN
from model.person.mask import PersonMask
from model.render.backends import build_rasterizer

CLEARANCE_MM = 1.5
"""How far hair stays off the skin, at rest and at each expression."""
THICKEST_MM = 150.0
_HAIRLINE_MM, _FRINGE_MM, _UNKNOWN_MM = 1.5, 4.0, 14.0
"""Thickness where hair ends on skin, of hair that lies on a face, and where nothing is known."""
_STEP_MM, _EDGE_MM = 2.0, 14.0
_GRAZING = 0.22
"""Cosine of ray and line of sight up to which the outline tells the radius."""
_FEWEST_HAIR = 0.12
"""Share of the seen scalp that must show hair; with less a head counts as bald."""
_BENDING = (0.0, 1.5)
"""Stiffness of the shell in the two rounds: the first one only finds out roughly where it lies, which is quicker."""
_DEPTH_PX = 320
_DEPTH_GAP_MM = 10.0


@dataclass(frozen=True)
class HairShell:
    """A shell over a head at rest.

    Attributes:
        radius_mm: Along the rays of `hair_grid()`.
        cover: How far there is hair, in [0, 1].
        facing: Cosine of the angle at which the photograph shows the shell, 0 where it does not.
    """

    radius_mm: Float[np.ndarray, "row column"]
    cover: Float[np.ndarray, "row column"]
    facing: Float[np.ndarray, "row column"]


def build_shell(
    result: FaceResult, mask: PersonMask, template: ScalpTemplate, model: MorphableModel
) -> HairShell | None:
    """The hair of a face.

    Args:
        result: The face.
        mask: What its photograph shows.
        template: Of the head model.
        model: The head model.

    Returns:
        The shell; None where the head is bald, or its hair is not in the photograph.
    """
    grid, head = hair_grid(), _HeadRays.of(result, model, template)
    reaching = mask.reaching(HAIR)
    outline = _outline(grid, head, result, mask)
    thickness = np.full((ROWS, COLUMNS), _UNKNOWN_MM)
    cover = template.grows
    for bending in _BENDING:
        points_mm = grid.points_mm(_limited(head.base_mm + thickness, head, outline, cover))
        places_px = project_points(points_mm, result)[..., :2]
        seen = np.clip((_facing(points_mm, result) - 0.05) / 0.25, 0.0, 1.0) * mask.known_at(places_px)
        shown = mask.at(places_px)
        if _is_bald(shown[..., HAIR], seen, template):
            return None
        cover = _cover(reaching.at(places_px)[..., HAIR], seen, outline, template)
        thickness = _thickness(shown, seen, cover, outline, head, bending)
    radius = _limited(head.base_mm + thickness, head, outline, cover)
    points_mm = grid.points_mm(radius)
    known = mask.known_at(project_points(points_mm, result)[..., :2])
    return HairShell(radius, cover, _facing(points_mm, result) * known)


@dataclass(frozen=True)
class _HeadRays:
    """How far out the head reaches.

    Attributes:
        base_mm: What thickness is counted from: the head at rest without ears, and below its widest part what hangs
            down from there.
        least_mm: The head without ears at all its expressions.
        with_ears_mm: With ears.
    """

    base_mm: Float[np.ndarray, "row column"]
    least_mm: Float[np.ndarray, "row column"]
    with_ears_mm: Float[np.ndarray, "row column"]

    @classmethod
    def of(cls, result: FaceResult, model: MorphableModel, template: ScalpTemplate) -> "_HeadRays":
        rest = rest_vertices_mm(result, model)
        at_rest = outer_radius(rest, template.bare_faces)
        bare = _filled(at_rest)
        # Each expression by itself: an opening jaw sweeps along the rays' sides as much as outwards. What an expression
        # does not move reaches as far as at rest.
        moved = [
            outer_radius(rest + offsets, _moved_faces(offsets, template.bare_faces)) for offsets in _expressions(model)
        ]
        shown = outer_radius(result.vertices_mm, template.bare_faces)
        least = np.maximum(bare, _filled(np.max([at_rest, shown, *moved], axis=0)))
        with_ears = np.maximum(_filled(outer_radius(rest, template.skin_faces)), least)
        # Hair hangs down from where the head is widest, more so behind than in front.
        azimuth = np.abs(hair_grid().azimuth_rad)
        kept = np.interp(azimuth, np.radians([25.0, 60.0, 110.0]), [0.80, 0.965, 0.985])
        base = bare.copy()
        for row in range(DOME_ROWS, ROWS):
            base[row] = np.maximum(base[row], kept * base[row - 1])
        return cls(_softened(base), least, with_ears)


def _moved_faces(
    offsets_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Int[np.ndarray, "moved 3"]:
    """Triangles with a corner that is moved."""
    moved = (offsets_mm != 0.0).any(axis=1)
    return faces[moved[faces[:, 0]] | moved[faces[:, 1]] | moved[faces[:, 2]]]


def rest_vertices_mm(result: FaceResult, model: MorphableModel) -> Float[np.ndarray, "vertex 3"]:
    """The head of the GLB: identity and offsets, without expression."""
    return result.vertices_mm - np.einsum("e,evx->vx", result.expression, _expressions(model))


def _expressions(model: MorphableModel) -> Float[np.ndarray, "expression vertex 3"]:
    return model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()


@dataclass(frozen=True)
class _Outline:
    """What the mask's outline says of each ray.

    Attributes:
        exit_mm: Where the ray leaves the person; infinite where it does not within reach, or beyond the photograph.
        hairy: Whether it is hair that it leaves.
        across: How far the ray runs across the view, in [0, 1].
    """

    exit_mm: Float[np.ndarray, "row column"]
    hairy: Bool[np.ndarray, "row column"]
    across: Float[np.ndarray, "row column"]


def _outline(grid: HairGrid, head: _HeadRays, result: FaceResult, mask: PersonMask) -> _Outline:
    steps_mm = np.arange(0.0, THICKEST_MM + _STEP_MM, _STEP_MM)
    # From within the head outwards: a fitted head may be a little too large.
    start_mm = 0.85 * head.base_mm
    radius = start_mm[..., None] + steps_mm
    points_mm = grid.origin_mm[:, :, None] + radius[..., None] * grid.direction[:, :, None]
    places_px = project_points(points_mm, result)[..., :2]
    share, known = mask.at(places_px), mask.known_at(places_px)
    within = (share[..., HAIR] + share[..., SKIN] > 0.5) | (known < 0.5)
    # The first places may lie beside a mask that is not exact: a ray has to have entered the person to leave it.
    near = radius < (head.base_mm + 4.0)[..., None]
    last = np.where((within | near).all(-1), within.shape[-1] - 1, (~(within | near)).argmax(-1) - 1).clip(min=0)
    rows, columns = np.ogrid[:ROWS, :COLUMNS]
    reached = (last == within.shape[-1] - 1) | (known[rows, columns, last] < 0.5)
    # Hair need not reach the very end: the fitted head may be too large there.
    end_mm = radius[rows, columns, last][..., None]
    lately = (radius <= end_mm) & (radius > end_mm - _EDGE_MM)
    hairy = ((share[..., HAIR] > 0.5) & lately).any(-1) & ~reached
    exit_mm = np.where(reached, np.inf, radius[rows, columns, last] + 0.5 * _STEP_MM)
    surface = grid.points_mm(np.where(np.isfinite(exit_mm), exit_mm, head.base_mm + 10.0))
    camera = surface @ result.rotation.T + result.translation_mm
    sight = camera / np.linalg.norm(camera, axis=-1, keepdims=True)
    cosine = np.abs(((grid.direction @ result.rotation.T) * sight).sum(-1))
    return _Outline(exit_mm, hairy, np.clip(1.0 - cosine / _GRAZING, 0.0, 1.0))


def _softened(radius_mm: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Blurred by one cell: the rows end at crown and neck, the columns go around."""
    return gaussian_filter1d(gaussian_filter1d(radius_mm, 1.0, axis=0, mode="nearest"), 1.0, axis=1, mode="wrap")


def _limited(
    radius_mm: Float[np.ndarray, "row column"],
    head: _HeadRays,
    outline: _Outline,
    cover: Float[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column"]:
    """Within the mask's outline, and outside of the head at all its expressions, whichever is farther out."""
    least = np.where(cover > 0.4, head.with_ears_mm, head.least_mm)
    least = np.maximum(least, _softened(least))
    return np.maximum(np.minimum(radius_mm, outline.exit_mm), least + CLEARANCE_MM)


def _is_bald(
    hair: Float[np.ndarray, "row column"], seen: Float[np.ndarray, "row column"], template: ScalpTemplate
) -> bool:
    weight = (
        seen * template.grows * np.sin(0.5 * np.pi * (np.arange(ROWS)[:, None] + 0.5).clip(max=DOME_ROWS) / DOME_ROWS)
    )
    return float((hair * weight).sum()) < _FEWEST_HAIR * max(float(weight.sum()), 1e-6)


def _cover(
    hair: Float[np.ndarray, "row column"],
    seen: Float[np.ndarray, "row column"],
    outline: _Outline,
    template: ScalpTemplate,
) -> Float[np.ndarray, "row column"]:
    """Where there is hair: as seen, then as the outline and the mirror side say, then as it grows on heads."""
    rim = outline.across * np.isfinite(outline.exit_mm)
    mirrored = seen[:, ::-1] * (1.0 - seen) * 0.3
    # Whether hair falls below the nape is told by what is seen at the sides, hardly by how it grows on heads.
    prior = np.where(np.arange(ROWS)[:, None] < DOME_ROWS + 6, 0.004, 1e-4)
    at_rim = 2.0 * rim * (1.0 - seen)
    weight = seen + at_rim + mirrored + prior
    value = seen * hair + at_rim * outline.hairy + mirrored * hair[:, ::-1] + prior * template.grows
    field = solve_on_grid(weight, value, bending=0.0, tension=0.08)
    field = np.clip((field - 0.5) * 6.0 + 0.5, 0.0, 1.0)
    return seen * hair + (1.0 - seen) * field


def _thickness(
    shown: Float[np.ndarray, "row column kind"],
    seen: Float[np.ndarray, "row column"],
    cover: Float[np.ndarray, "row column"],
    outline: _Outline,
    head: _HeadRays,
    bending: float,
) -> Float[np.ndarray, "row column"]:
    """Off the base: the outline's where a ray runs across the view, thin where hair ends, smooth elsewhere."""
    rim = outline.across * np.isfinite(outline.exit_mm) * outline.hairy
    bare = seen * shown[..., SKIN] * (1.0 - cover)
    at_rim = np.where(np.isfinite(outline.exit_mm), outline.exit_mm - head.base_mm, 0.0)
    known_mm = float(np.median(at_rim[rim > 0.3])) if (rim > 0.3).any() else _UNKNOWN_MM
    expected = np.clip(known_mm, 4.0, 40.0)
    weight = 8.0 * rim + 0.25 * bare + 0.002
    value = 8.0 * rim * at_rim + 0.25 * bare * _HAIRLINE_MM + 0.002 * expected
    return solve_on_grid(weight, value, bending=bending, tension=0.02 if bending > 0.0 else 1.0)


def solve_on_grid(
    weight: Float[np.ndarray, "row column"],
    value: Float[np.ndarray, "row column *channel"],
    bending: float,
    tension: float,
) -> Float[np.ndarray, "row column *channel"]:
    """Least squares of weight (x - value / weight)^2 + bending |curvature of x|^2 + tension |gradient of x|^2."""
    system = diags(weight.ravel()) + tension * _grid_laplacian() + bending * _grid_curvature()
    return factorized(system).solve(value.reshape(weight.size, -1)).reshape(value.shape)


@cache
def _grid_laplacian() -> csc_matrix:
    """Of the grid as it lies on a head: around the crown its columns are close together."""
    around = _bands((2.0, -1.0, -1.0, -1.0, -1.0), (0, 1, -1, COLUMNS - 1, 1 - COLUMNS), COLUMNS)
    down = _bands((2.0, -1.0, -1.0), (0, 1, -1), ROWS).tolil()
    down[0, 0] = down[-1, -1] = 1.0
    row = np.arange(ROWS) + 0.5
    width = np.sin(0.5 * np.pi * row.clip(max=DOME_ROWS) / DOME_ROWS)
    closeness = np.clip(1.0 / width, 1.0, 6.0) ** 2
    return csc_matrix(kron(down, identity(COLUMNS)) + kron(diags(closeness), around))


@cache
def _grid_curvature() -> csc_matrix:
    laplacian = _grid_laplacian()
    return csc_matrix(laplacian.T @ laplacian)


def _bands(values: tuple[float, ...], offsets: tuple[int, ...], size: int) -> dia_matrix:
    """A square matrix that has one value all along each of some diagonals."""
    return dia_matrix((np.outer(values, np.ones(size)), offsets), shape=(size, size))


def grid_normals(points_mm: Float[np.ndarray, "row column 3"]) -> Float[np.ndarray, "row column 3"]:
    """Unit normals of a shell, outwards."""
    wrapped = np.concatenate((points_mm[:, -1:], points_mm, points_mm[:, :1]), axis=1)
    around = wrapped[:, 2:] - wrapped[:, :-2]
    down = np.gradient(points_mm, axis=0)
    normal = np.cross(down, around)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True).clip(min=1e-9)


def project_points(points_mm: Float[np.ndarray, "*point 3"], result: FaceResult) -> Float[np.ndarray, "*point 3"]:
    """Where points of model space lie in the photograph: x and y in px, depth in mm."""
    camera = points_mm @ result.rotation.T.astype(np.float64) + result.translation_mm
    depth = -camera[..., 2]
    k = result.intrinsics_px
    return np.stack((k[0, 0] * camera[..., 0] / depth + k[0, 2], k[1, 2] - k[1, 1] * camera[..., 1] / depth, depth), -1)


def _facing(points_mm: Float[np.ndarray, "row column 3"], result: FaceResult) -> Float[np.ndarray, "row column"]:
    """Cosine between normal and line of sight of each place of a shell; 0 where something is before it."""
    camera = points_mm @ result.rotation.T + result.translation_mm
    towards = -camera / np.linalg.norm(camera, axis=-1, keepdims=True)
    cosine = ((grid_normals(points_mm) @ result.rotation.T) * towards).sum(-1).clip(min=0.0)
    image = project_points(points_mm, result)
    every = np.concatenate((image.reshape(-1, 3), result.vertices_image))
    lowest, highest = every[:, :2].min(0), every[:, :2].max(0)
    scale = _DEPTH_PX / float((highest - lowest).max())
    every[:, :2] = (every[:, :2] - lowest) * scale
    triangles = np.concatenate((grid_triangles(), result.faces + ROWS * COLUMNS)).astype(np.int32)
    fragments = build_rasterizer("cpu").rasterize(
        torch.from_numpy(every.astype(np.float32))[None], torch.from_numpy(triangles), _DEPTH_PX, _DEPTH_PX
    )
    column, row = np.clip(every[: ROWS * COLUMNS, :2].astype(int), 0, _DEPTH_PX - 1).T
    front = fragments.depth_mm[0].numpy()[row, column].reshape(cosine.shape)
    return cosine * ((front <= 0.0) | (image[..., 2] - front < _DEPTH_GAP_MM))


def grid_triangles(rows: int = ROWS, columns: int = COLUMNS) -> Int[np.ndarray, "face 3"]:
    """Triangles of a whole shell, closed around, open at crown and hem; counter-clockwise from outside."""
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], right[:-1], index[1:], right[1:]
    quads = np.stack((np.stack((a, c, b), -1), np.stack((b, c, d), -1)), axis=2)
    return quads.reshape(-1, 3)


def _filled(radius_mm: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Rays that hit nothing take what the row above has: below the bust there is no head."""
    filled = radius_mm.copy()
    for row in range(1, len(filled)):
        filled[row] = np.where(filled[row] > 0.0, filled[row], filled[row - 1])
    return filled
