"""The colours of a hair shell: the photograph where it shows the hair, and hair made of its pieces elsewhere.

What is seen is parted into a smooth colour and strands (what the logarithm of the picture has above it). Over the
unseen part the smooth colour is continued; the strands are put together from pieces of the seen ones, each chosen to go
on from its neighbours (Efros & Freeman, "Image Quilting", SIGGRAPH 2001). In the shell's texture space hair that falls
from the crown runs downwards, so pieces whose strands run so are preferred: copies then follow the hair.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from model.look.face_result import FaceResult
from model.look.hair_grid import COLUMNS, DOME_ROWS, ROWS, hair_grid
from model.look.hair_shell import HairShell, grid_normals, project_points, solve_on_grid
from model.look.sampling import LINEAR_OF_BYTE, bytes_of, linear_of
from model.person.classes import HAIR
from model.person.mask import PersonMask
from model.render.color import linear_to_srgb, srgb_to_linear
from model.render.lighting import shade

TEXTURE_PX = 1024
_BLOCK_HEIGHTS_PX, _BLOCK_WIDTH_PX, _CANDIDATES = (288, 176, 104, 64), 56, 64
"""Pieces are as long, along the strands, as enough of them can be had."""
_OVERLAP_PX, _OVERLAP_SHARE = 16, 0.4
"""How far neighbours overlap across the strands, and along them over their height: there strands end among others."""
_SMOOTH_PX = 12.0
"""Standard deviation of what counts as smooth colour."""
_DARKEST = 0.012
_FULL_COSINE, _NO_COSINE = 0.55, 0.25
"""Where the shell is turned to the camera this much its picture is taken whole, or not at all."""
_LEAST_LIGHT, _DARKEST_SIDE, _BRIGHTEST_SIDE = 0.15, 0.6, 1.35
"""Bounds of the shading: what the sides have of what the seen hair has."""
_SURE_HAIR = 0.75
_PALE_PX, _INNER_SHARE = 31, 0.15
"""How far from its border hair is pale, and how much of the hair must lie farther in for the rest to count little."""
_SPREAD, _RETURN = 0.05, 2e-3
"""Weights of a smooth continuation and of the colour of most hair: within some 20 degrees the second wins."""
_FEWEST_SOURCES = 24
_LEAST_PIECE = 2e-3
"""Holes smaller than this share of the texture are closed."""
_ROOT_NOISE = 0.15
"""How far strands move the hairline: share of hair per unit of log-brightness."""


@dataclass(frozen=True)
class HairTexture:
    """A picture over a shell's texture space: columns around from the back, rows from the crown down.

    Attributes:
        image_srgb: Colour with the photograph's light, also where there is no hair.
        albedo_srgb: Colour without it.
        cover: Where there is hair, 0..255.
        seen: 255 where the colour is the photograph's.
    """

    image_srgb: UInt8[np.ndarray, "size size 3"]
    albedo_srgb: UInt8[np.ndarray, "size size 3"]
    cover: UInt8[np.ndarray, "size size"]
    seen: UInt8[np.ndarray, "size size"]

    def with_cover(self, *, lit: bool) -> UInt8[np.ndarray, "size size 4"]:
        """Colour, that without light if it is to be lit, and cover as a fourth channel."""
        return np.dstack((self.albedo_srgb if lit else self.image_srgb, self.cover))

    def brightened(self, factor: float) -> "HairTexture":
        """With an albedo of this many times the light."""
        return replace(self, albedo_srgb=bytes_of(LINEAR_OF_BYTE * factor)[self.albedo_srgb])


def draw_hair(
    shell: HairShell,
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    mask: PersonMask,
    size_px: int = TEXTURE_PX,
) -> HairTexture:
    """Draw the texture of a shell.

    Args:
        shell: The shell.
        result: Its face.
        photograph_srgb: The photograph.
        mask: What the photograph shows.
        size_px: Side of the texture.
    """
    grid = hair_grid(size_px, size_px, DOME_ROWS * size_px / ROWS)
    places_px = project_points(grid.points_mm(_enlarge(shell.radius_mm, size_px)), result)[..., :2]
    share = mask.at(places_px)[..., HAIR]
    facing = _enlarge(shell.facing, size_px)
    seen = np.clip((facing - 0.05) / 0.25, 0.0, 1.0)
    shown = mask.reaching(HAIR).at(places_px)[..., HAIR]
    cover = seen * shown + (1.0 - seen) * _enlarge(shell.cover, size_px)
    # What is not seen is made without the photograph's light, and then given it.
    light = _enlarge_channels(_shading(shell, result), size_px)
    seen_srgb = _sample(photograph_srgb, places_px)
    photograph = seen_srgb.astype(np.float32) / 255.0
    color = _encoded(linear_of(seen_srgb) / light)
    # Off the hair's border, where its colour is mixed with that of what is beside it.
    sure = cv2.erode((share > _SURE_HAIR).astype(np.float32), np.ones((9, 9), np.uint8))
    weight = sure * np.clip((facing - _NO_COSINE) / (_FULL_COSINE - _NO_COSINE), 0.0, 1.0)
    weight = cv2.GaussianBlur(weight, (0, 0), 2.0) * sure
    smooth = _smooth_color(color, weight)
    strands = _log(color) - _log(_blur(color, weight, smooth))
    strands = _continued(strands, weight > 0.9, cover > 0.02)
    made = np.exp(_log(smooth) + strands)
    albedo = weight[..., None] * color + (1.0 - weight[..., None]) * made
    image = weight[..., None] * photograph + (1.0 - weight[..., None]) * _encoded(_linear(made) * light)
    # One colour where nothing is drawn: a picture file of it is smaller.
    nowhere = cv2.dilate(cover.astype(np.float32), np.ones((17, 17), np.uint8)) < 0.05
    for picture in (albedo, image):
        picture[nowhere] = np.median(picture[~nowhere], axis=0) if not nowhere.all() else 0.0
    ragged = cover + _ROOT_NOISE * strands.mean(-1) * np.clip(4.0 * cover * (1.0 - cover), 0.0, 1.0)
    return HairTexture(_bytes(image), _bytes(albedo), _in_one_piece(_bytes(ragged)), _bytes(weight))


def _shading(shell: HairShell, result: FaceResult) -> Float[np.ndarray, "row column 3"]:
    """The light of the photograph on a shell, between bounds about what it is where the shell is seen."""
    normals = grid_normals(hair_grid().points_mm(shell.radius_mm)) @ result.rotation.T
    flat = torch.from_numpy(normals.reshape(1, -1, 3).astype(np.float32))
    shading = shade(flat, torch.from_numpy(result.lighting)[None])[0].numpy().reshape(normals.shape)
    weight = shell.facing * shell.cover
    middle = (shading * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    middle = np.maximum(middle, _LEAST_LIGHT)
    return np.clip(shading, _DARKEST_SIDE * middle, _BRIGHTEST_SIDE * middle).astype(np.float32)


def _enlarge_channels(values: Float[np.ndarray, "row column 3"], size_px: int) -> Float[np.ndarray, "size size 3"]:
    return np.stack([_enlarge(values[..., k], size_px) for k in range(3)], axis=-1)


def _linear(color_srgb: Float[np.ndarray, "size size 3"]) -> Float[np.ndarray, "size size 3"]:
    return srgb_to_linear(torch.from_numpy(color_srgb.clip(0.0, 1.0).astype(np.float32))).numpy()


def _encoded(linear: Float[np.ndarray, "size size 3"]) -> Float[np.ndarray, "size size 3"]:
    # Beyond white as well: what shone in the photograph is brighter than white without its light.
    return np.where(linear <= 1.0, linear_to_srgb(torch.from_numpy(linear.clip(0.0, 1.0))).numpy(), linear**0.42)


def _enlarge(values: Float[np.ndarray, "row column"], size_px: int) -> Float[np.ndarray, "size size"]:
    """From the grid's cells to texels, around the seam at the back."""
    margin = 4
    wrapped = np.concatenate((values[:, -margin:], values, values[:, :margin]), axis=1).astype(np.float32)
    factor = size_px / COLUMNS
    wide = cv2.resize(wrapped, (round((COLUMNS + 2 * margin) * factor), size_px), interpolation=cv2.INTER_LINEAR)
    start = round(margin * factor)
    return wide[:, start : start + size_px]


def _smooth_color(
    color: Float[np.ndarray, "size size 3"], weight: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size 3"]:
    """The colour without strands, continued over what is not seen, where it soon is that of most of the seen hair.

    What lies near the border of the seen part is the palest of it: a lens mixes the background in.
    """
    inner = cv2.erode(weight.astype(np.float32), np.ones((_PALE_PX, _PALE_PX), np.uint8))
    weight = np.where(inner.sum() > _INNER_SHARE * weight.sum(), inner + 0.02 * weight, weight)
    some = color[weight > 0.5]
    middle = np.median(some, axis=0) if len(some) else np.full(3, 0.2)
    known = cv2.resize(weight.astype(np.float32), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float64)
    premultiplied = (color * weight[..., None]).astype(np.float32)
    values = cv2.resize(premultiplied, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float64)
    total = known + _RETURN
    smooth = solve_on_grid(total, values + _RETURN * middle, bending=0.0, tension=_SPREAD)
    return np.maximum(_enlarge_channels(smooth, len(color)), 0.0)


def _blur(
    color: Float[np.ndarray, "size size 3"],
    weight: Float[np.ndarray, "size size"],
    smooth: Float[np.ndarray, "size size 3"],
) -> Float[np.ndarray, "size size 3"]:
    """The seen colour, blurred; beside it the smooth colour counts, so that nothing foreign comes in at the border."""
    mixed = (weight[..., None] * color + (1.0 - weight[..., None]) * smooth).astype(np.float32)
    small = cv2.resize(mixed, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.25 * _SMOOTH_PX)
    return cv2.resize(small, mixed.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _in_one_piece(cover: UInt8[np.ndarray, "size size"]) -> UInt8[np.ndarray, "size size"]:
    """Without islands, and without holes that nobody saw a reason for: hair is one piece about the head."""
    size, cover = len(cover), cover.copy()
    least = _LEAST_PIECE * size * size
    for full in (True, False):
        # Twice around, so that what lies across the seam is one piece.
        here = (cover > 127) == full
        _, labels, stats, _ = cv2.connectedComponentsWithStats(np.tile(here, 2).astype(np.uint8), connectivity=4)
        piece = np.asarray(labels, np.int32)
        area = stats[:, cv2.CC_STAT_AREA]
        large = area >= least
        large[0] = False
        if full and large.any():
            large = area >= 0.2 * area[1:].max()
            large[0] = False
        lost = here & ~large[piece[:, :size]] & ~large[piece[:, size:]]
        cover[lost] = 0 if full else 255
    return cover


def _continued(
    strands: Float[np.ndarray, "size size 3"],
    known: Bool[np.ndarray, "size size"],
    wanted: Bool[np.ndarray, "size size"],
) -> Float[np.ndarray, "size size 3"]:
    """Quilt the strands of the known part over the wanted one."""
    size, width = len(strands), _BLOCK_WIDTH_PX
    strands = np.where(known[..., None], strands, 0.0).astype(np.float32)
    sources = _Sources.of(strands, known)
    if sources is None:
        return strands
    done, height = known.copy(), sources.height
    generator = np.random.default_rng(0)
    overlap = round(_OVERLAP_SHARE * height)
    # From the front, which is the middle, around both sides to the back, and there over the seam.
    step, seam = width - _OVERLAP_PX, size - width // 2
    columns = sorted(range(0, size, step), key=lambda left: abs(left + 0.5 * width - 0.5 * size))
    middle = np.abs(np.arange(width) - 0.5 * width) < 0.5 * step
    for left in [*columns, seam]:
        around = np.arange(left, left + width) % size
        # Neighbouring columns of pieces do not end at the same heights, or their ends would be seen as rings.
        for top in range(-int(generator.integers(height - overlap)), size, height - overlap):
            rows = np.arange(top, top + height).clip(0, size - 1)
            # Most pieces lie inside: they are read and written in place.
            inside = top >= 0 and top + height <= size and left + width <= size
            block = np.s_[top : top + height, left : left + width] if inside else np.ix_(rows, around)
            known_here = done[block] & ~(middle[None] & (left == seam))
            if (wanted[block] & ~known_here).any():
                piece = sources.best(strands[block], known_here, top, generator)
                strands[block] = _joined(strands[block], piece, known_here, overlap)
                done[block] = True
    return strands


@dataclass(frozen=True)
class _Sources:
    """Pieces that are known whole.

    Attributes:
        strands: What they are pieces of.
        height: Of each, in px.
        corners: Row and column of the upper left corner of each.
        chance: How fit each is as hair: strands that run down, and no gap, ornament or patch of light among them.
    """

    strands: Float[np.ndarray, "size size 3"]
    height: int
    corners: Int[np.ndarray, "source 2"]
    chance: Float[np.ndarray, " source"]

    @cached_property
    def green(self) -> Float[np.ndarray, "size size"]:
        """The one channel that is compared, by itself."""
        return np.ascontiguousarray(self.strands[..., 1])

    @classmethod
    def of(cls, strands: Float[np.ndarray, "size size 3"], known: Bool[np.ndarray, "size size"]) -> "_Sources | None":
        """The longest pieces of which there are enough; None where there are none at all."""
        width, counts = _BLOCK_WIDTH_PX, cv2.integral(known.astype(np.uint8))
        for height in _BLOCK_HEIGHTS_PX:
            if height >= len(known):
                continue
            upper, lower = counts[:-height], counts[height:]
            whole = lower[:, width:] - upper[:, width:] - lower[:, :-width] + upper[:, :-width]
            corners = np.argwhere(whole[::4, ::4] >= 0.96 * height * width) * 4
            if len(corners) >= _FEWEST_SOURCES:
                power = cv2.blur((strands**2).sum(-1), (width, height), anchor=(0, 0))
                turned, power = (of[corners[:, 0], corners[:, 1]] for of in (_turned(strands, height), power))
                odd = np.maximum(power / max(float(np.median(power)), 1e-9) - 1.0, 0.0)
                return cls(strands.copy(), height, corners, np.exp(-2.5 * turned - 2.0 * odd))
        return None

    def best(
        self,
        there: Float[np.ndarray, "height width 3"],
        known: Bool[np.ndarray, "height width"],
        top: int,
        generator: np.random.Generator,
    ) -> Float[np.ndarray, "height width 3"]:
        """The piece that goes on best from what is there, among some that lie at about the same height."""
        chance = self.chance * np.exp(-5.0 * np.abs(self.corners[:, 0] - top) / len(self.strands)) + 1e-12
        count = min(_CANDIDATES, len(self.corners))
        chosen = self.corners[generator.choice(len(self.corners), count, replace=False, p=chance / chance.sum())]
        rows, columns = np.nonzero(known[::3, ::2])
        # Every sixth texel and one channel tell as much about the fit as all of them.
        size = len(self.strands)
        starts = size * chosen[:, 0] + chosen[:, 1]
        compared = self.green.take(starts[:, None] + (3 * size * rows + 2 * columns))
        cost = ((compared - there[3 * rows, 2 * columns, 1]) ** 2).sum(1)
        row, column = chosen[cost.argmin()].tolist()
        return self.strands[row : row + self.height, column : column + _BLOCK_WIDTH_PX]


def _turned(strands: Float[np.ndarray, "size size 3"], height: int) -> Float[np.ndarray, "size size"]:
    """How far strands are turned from the vertical, in the piece to the right of and below each texel."""
    grey = strands.mean(-1)
    x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.blur(p, (_BLOCK_WIDTH_PX, height), anchor=(0, 0)) for p in (x * x, y * y, x * y))
    return np.abs(np.sin(0.5 * np.arctan2(2.0 * xy, xx - yy)))


def _joined(
    there: Float[np.ndarray, "height width 3"],
    piece: Float[np.ndarray, "height width 3"],
    known: Bool[np.ndarray, "height width"],
    overlap: int,
) -> Float[np.ndarray, "height width 3"]:
    """The piece where nothing is known; it fades into what is known, slowly along the strands, quickly across."""
    height, width = known.shape
    squeezed = max(2, round(height * _OVERLAP_PX / overlap))
    small = cv2.resize(known.astype(np.uint8), (width, squeezed), interpolation=cv2.INTER_NEAREST)
    depth = cv2.distanceTransform(np.pad(small, 1, mode="edge"), cv2.DIST_L2, 3)[1:-1, 1:-1]
    depth = cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR) * known
    fade = np.clip(1.0 - depth / (0.7 * _OVERLAP_PX), 0.0, 1.0)[..., None]
    # Two pictures without relation lose contrast where they are averaged; this keeps it.
    return (fade * piece + (1.0 - fade) * there) / np.sqrt(fade**2 + (1.0 - fade) ** 2)


def _sample(
    photograph_srgb: UInt8[np.ndarray, "height width 3"], places_px: Float[np.ndarray, "size size 2"]
) -> UInt8[np.ndarray, "size size 3"]:
    x, y = (np.clip(places_px[..., k], -1e4, 3e4).astype(np.float32) - 0.5 for k in (0, 1))
    return cv2.remap(photograph_srgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _log(color: Float[np.ndarray, "size size 3"]) -> Float[np.ndarray, "size size 3"]:
    return np.log(np.maximum(color, _DARKEST))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)
