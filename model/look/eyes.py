"""The eyeballs' texture: round iris and white in the photograph's colours, without its highlights and lids.

A photograph shows a few hundred pixels of an eye, half of them under lids, lashes and a window's reflection. What it
does tell is the colour of the iris and of the white; the pattern is drawn: a dark pupil, a darker rim, fibres.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.sampling import sample_photograph

_UV_RADIUS, _UV_DEG = 0.48, 35.0
"""The chart of `tools/head/eyeballs.py`: distance from the pupil in the tile against the angle from the axis."""
_PUPIL_DEG, _IRIS_DEG, _RIM_DEG = 6.0, 19.7, 2.2
_IRIS_SEEN_DEG, _WHITE_SEEN_DEG = (8.5, 16.5), (24.0, 42.0)
_FEWEST_PIXELS = 12
_LARGEST_MISS = 0.35
"""How far the fitted eye may lie beside the photographed one, in radii of the iris."""
_SEEN = 0.2
_WHITE_SRGB = np.array([0.80, 0.77, 0.75], np.float32)
_IRIS_SRGB = np.array([0.36, 0.25, 0.17], np.float32)
_PUPIL_SRGB = 0.03


@dataclass(frozen=True)
class EyeColors:
    """What a photograph tells of both eyes, sRGB in [0, 1], its light included.

    Attributes:
        iris: Its colour between pupil and rim; None where no eye shows it.
        white: Of the white beside the iris; None where no eye shows it.
    """

    iris: Float[np.ndarray, "3"] | None
    white: Float[np.ndarray, "3"] | None


@dataclass(frozen=True)
class _EyeSpace:
    """Of each covered texel: angle from the eye's axis, direction about it, and which eye it is on."""

    angle_deg: Float[np.ndarray, " texel"]
    turn: Float[np.ndarray, " texel"]
    left: Bool[np.ndarray, " texel"]

    @classmethod
    def of(cls, atlas: Atlas) -> "_EyeSpace":
        row, column = np.nonzero(atlas.covered)
        size = len(atlas.covered)
        u, v = (column + 0.5) / size, 1.0 - (row + 0.5) / size
        left = u > 0.5
        x, y = 2.0 * (u - np.where(left, 0.75, 0.25)), v - 0.5
        reach = np.clip(np.hypot(x, y) / _UV_RADIUS * (1.0 - np.exp(-180.0 / _UV_DEG)), 0.0, 0.994)
        return cls(-_UV_DEG * np.log(1.0 - reach), np.arctan2(y, x), left)


def eye_colors(
    result: FaceResult,
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    seen: Float[np.ndarray, " vertex"],
    atlas: Atlas,
) -> EyeColors:
    """Look for the colours of iris and white in the photograph.

    Args:
        result: The face.
        photograph_srgb: The photograph.
        seen: How well it shows each vertex of the head.
        atlas: Texture space of the eyes.
    """
    space = _EyeSpace.of(atlas)
    visible = atlas.sample(seen[:, None])[:, 0] > _SEEN
    places = atlas.sample(result.vertices_image)[:, :2]
    irises, whites = [], []
    for side in (space.left, ~space.left):
        iris = side & visible & _within(space.angle_deg, _IRIS_SEEN_DEG)
        white = side & visible & _within(space.angle_deg, _WHITE_SEEN_DEG)
        disc = side & visible & (space.angle_deg < _IRIS_SEEN_DEG[1])
        if disc.sum() < _FEWEST_PIXELS:
            continue
        miss = _miss(photograph_srgb, places, disc, white, side & (space.angle_deg < _IRIS_DEG))
        irises.append(sample_photograph(photograph_srgb, places[iris] + miss))
        whites.append(sample_photograph(photograph_srgb, places[white] + miss))
    return EyeColors(_typical(irises, 0.25, 0.65), _typical(whites, 0.55, 0.9))


def _within(values: Float[np.ndarray, " texel"], bounds: tuple[float, float]) -> Bool[np.ndarray, " texel"]:
    return (values > bounds[0]) & (values < bounds[1])


def _miss(
    photograph_srgb: UInt8[np.ndarray, "height width 3"],
    places: Float[np.ndarray, "texel 2"],
    disc: Bool[np.ndarray, " texel"],
    white: Bool[np.ndarray, " texel"],
    iris: Bool[np.ndarray, " texel"],
) -> Float[np.ndarray, "2"]:
    """Where the photographed iris lies beside the fitted one, px: where a disc is darkest against what is about it."""
    radius = 0.5 * float(np.ptp(places[iris], axis=0).max()) if iris.any() else 0.0
    best, miss, of_disc, of_white = np.inf, np.zeros(2, np.float32), places[disc], places[white]
    for step in np.stack(np.meshgrid(*2 * (np.linspace(-1.0, 1.0, 7),)), -1).reshape(-1, 2):
        moved = (_LARGEST_MISS * radius * step).astype(np.float32)
        inside = float(sample_photograph(photograph_srgb, of_disc + moved).mean())
        beside = float(sample_photograph(photograph_srgb, of_white + moved).mean()) if len(of_white) else inside
        # A little in favour of the fit: where nothing tells, it stays.
        darkness = inside - 0.5 * beside + 0.01 * float(step @ step)
        if darkness < best:
            best, miss = darkness, moved
    return miss


def _typical(samples: list[Float[np.ndarray, "_ 3"]], low: float, high: float) -> Float[np.ndarray, "3"] | None:
    """Mean of the pixels between two quantiles of brightness: darker is lash or pupil, brighter a highlight."""
    pixels = np.concatenate(samples) if samples else np.zeros((0, 3), np.float32)
    if len(pixels) < _FEWEST_PIXELS:
        return None
    brightness = pixels.mean(1)
    kept = (brightness >= np.quantile(brightness, low)) & (brightness <= np.quantile(brightness, high))
    return pixels[kept].mean(0).astype(np.float32)


def draw_eyes(
    iris_srgb: Float[np.ndarray, "3"] | None, white_srgb: Float[np.ndarray, "3"] | None, atlas: Atlas
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw both eyeballs in these colours, or in common ones."""
    space = _EyeSpace.of(atlas)
    iris = _IRIS_SRGB if iris_srgb is None else iris_srgb
    white = _WHITE_SRGB if white_srgb is None else _plausible_white(white_srgb)
    angle = space.angle_deg
    fibres = sum(np.sin(n * space.turn + phase) / n**0.5 for n, phase in ((9, 0.4), (23, 1.9), (41, 4.0), (67, 2.6)))
    towards_rim = np.clip((angle - _PUPIL_DEG) / (_IRIS_DEG - _PUPIL_DEG), 0.0, 1.0)
    bright = (1.12 - 0.2 * towards_rim) * (1.0 + 0.09 * fibres) * (1.0 - 0.55 * _step(angle, 16.6, _IRIS_DEG))
    color = iris * bright[:, None]
    color *= 1.0 - _step(-angle, -_PUPIL_DEG - 0.6, -_PUPIL_DEG + 0.6)[:, None] * (1.0 - _PUPIL_SRGB)
    outside = _step(angle, _IRIS_DEG - 0.5 * _RIM_DEG, _IRIS_DEG + 0.5 * _RIM_DEG)[:, None]
    # Lids shade the white, most the upper one, and towards the corners it is redder.
    up, aside = angle * np.sin(space.turn), np.abs(angle * np.cos(space.turn))
    lids = 1.0 - 0.45 * _step(up, 8.0, 34.0) - 0.25 * _step(-up, 14.0, 40.0) - 0.3 * _step(aside, 28.0, 60.0)
    redness = np.stack((np.zeros_like(aside), *2 * (0.12 * _step(aside, 26.0, 55.0),)), -1)
    color = color * (1.0 - 0.35 * _step(up, 8.0, 24.0))[:, None] * (1.0 - outside) + outside * white * lids[:, None] * (
        1.0 - redness
    )
    return np.rint(255.0 * np.clip(color, 0.0, 1.0)).astype(np.uint8)[atlas.nearest]


def _plausible_white(white: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Between what the photograph shows, skin and lashes mixed in, and grey of its brightness."""
    grey = np.full(3, white.max() * 0.98, np.float32)
    return np.maximum(0.45 * white + 0.55 * grey, 0.25 * _WHITE_SRGB)


def _step(values: Float[np.ndarray, " texel"], low: float, high: float) -> Float[np.ndarray, " texel"]:
    """From 0 at `low` to 1 at `high`, smoothly."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
