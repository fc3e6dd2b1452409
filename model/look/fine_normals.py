"""Pores and wrinkles as normals: what is fine in the skin and changes its brightness, but not its colour.

Two readings of a fine mark are mixed. Where the light comes from aside, brightness follows the slope of the surface
(shape from shading, linear about the fitted surface: Kemelmacher-Shlizerman and Basri, PAMI 2011). Where it comes from
the front it says nothing of slopes, and dark is deep (Beeler et al., SIGGRAPH 2010). Either is a likeness of relief,
bounded, and no measurement.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from model.look.atlas import Atlas

_COARSE_SIDE = 512
_FINEST_MM, _COARSEST_MM = 0.12, 1.5
"""Radii between which a mark counts as pore or wrinkle; what is coarser is the head's own shape."""
_NOISE_LOG = 0.008
"""Log contrast below which a mark is the photograph's noise."""
_PIGMENT_SHARE, _PIGMENT_FLOOR = 0.35, 0.015
"""Pigments darken green more than red: how much more, over the change of red, still passes for shade."""
_STRONG_LOG = 0.3
"""Log contrast beyond which a mark is more likely a hair, a mole or a lash than relief."""
_DEPTH_MM = 0.35
"""Depth of a mark of log contrast 1, where dark is deep: a pore of a tenth is 0.035 mm deep."""
_AMBIGUITY = 0.3
"""Squared relative slope of the light at which shading and depth are believed equally."""
_STEEPEST = 0.5
_MOVED_SHARE = 0.6
"""Share of the relief's shade that is taken out of the albedo: lit again it would be there twice."""
_OFF_ISLAND = 3.0
"""A step between texels that is so many times the usual one leads to another island."""


@dataclass(frozen=True)
class FineRelief:
    """Relief of a skin over its texture space.

    Attributes:
        normal_xy: Tangent and bitangent part of the normals, as glTF has them: along u and v growing.
        shade_log: What the relief did to the log of the albedo and does no more.
    """

    normal_xy: Float[np.ndarray, "size size 2"]
    shade_log: Float[np.ndarray, "size size"]


def fine_relief(
    albedo_linear: Float[np.ndarray, "size size 3"],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    slope: Float[np.ndarray, "vertex 3"],
    bare: Float[np.ndarray, " vertex"],
    seen: Float[np.ndarray, " vertex"],
    atlas: Atlas,
) -> FineRelief:
    """Read the relief of a skin.

    Args:
        albedo_linear: The skin with its fine shade still in it, at the resolution that the relief shall have.
        vertices_mm: The head, in the space of `slope`.
        slope: `PhotographLight.slope`.
        bare: How far each vertex is bare skin that a photograph shows, there or mirrored, in [0, 1].
        seen: How far the photograph shows it there, so that the light's slope is known.
        atlas: The texture space, of any resolution.
    """
    size = len(albedo_linear)
    red, green = (np.log(np.maximum(albedo_linear[..., channel], 2e-3)) for channel in (0, 1))
    frame = _TexelFrames.of(vertices_mm, slope, np.stack((bare, seen), axis=1), atlas)
    texel_mm = frame.usual_mm * len(frame.valid) / size
    mark, in_green = (_band(values, _FINEST_MM / texel_mm, _COARSEST_MM / texel_mm) for values in (red, green))
    pigment = (in_green - mark) / (_PIGMENT_SHARE * np.abs(mark) + _PIGMENT_FLOOR)
    mark = np.sign(mark) * np.maximum(np.abs(mark) - _NOISE_LOG, 0.0)
    mark *= np.exp(-np.square(pigment)) / (1.0 + np.square(mark / _STRONG_LOG))
    bare_here, side_u, side_v, believed = (_enlarged(layer, size) for layer in frame.layers())
    mark *= bare_here
    # Of v growing upwards, rows grow downwards.
    along_u = cv2.Sobel(mark, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    along_v = -cv2.Sobel(mark, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    deep = (1.0 - believed) * (_DEPTH_MM / texel_mm)
    normal_xy = np.stack((side_u * mark - deep * along_u, side_v * mark - deep * along_v), axis=-1)
    normal_xy /= 1.0 + np.linalg.norm(normal_xy, axis=-1, keepdims=True) / _STEEPEST
    return FineRelief(normal_xy.astype(np.float32), (_MOVED_SHARE * mark).astype(np.float32))


@dataclass(frozen=True)
class _TexelFrames:
    """On a coarse grid over the texture space, where everything but the marks is smooth.

    Attributes:
        valid: 1 where neighbouring texels are neighbours on the head.
        usual_mm: Median distance of its texels on the skin.
        side_u: By how much the normal turns along u for a mark of 1, as shading says; 0 where it says nothing.
        side_v: The same along v.
        believed: How far shading is believed and depth is not.
        bare: Bare skin.
    """

    valid: Float[np.ndarray, "coarse coarse"]
    usual_mm: float
    side_u: Float[np.ndarray, "coarse coarse"]
    side_v: Float[np.ndarray, "coarse coarse"]
    believed: Float[np.ndarray, "coarse coarse"]
    bare: Float[np.ndarray, "coarse coarse"]

    @classmethod
    def of(
        cls,
        vertices_mm: Float[np.ndarray, "vertex 3"],
        slope: Float[np.ndarray, "vertex 3"],
        weights: Float[np.ndarray, "vertex 2"],
        atlas: Atlas,
    ) -> "_TexelFrames":
        values = atlas.coarse(np.concatenate((vertices_mm, slope, weights), axis=1), _COARSE_SIDE)
        place, light, bare, seen = values[..., :3], values[..., 3:6], values[..., 6], values[..., 7]
        along_u, along_v = np.gradient(place, axis=1), -np.gradient(place, axis=0)
        across = np.cross(along_u, along_v)
        mm = np.sqrt(np.linalg.norm(across, axis=-1))
        on_skin = bare > 0.5
        usual_mm = float(np.median(mm[on_skin])) if on_skin.any() else 1.0
        length = np.maximum(np.linalg.norm(along_u, axis=-1), np.linalg.norm(along_v, axis=-1))
        valid = cv2.erode((length < _OFF_ISLAND * usual_mm).astype(np.float32), np.ones((3, 3)))
        tangent = along_u / np.maximum(np.linalg.norm(along_u, axis=-1, keepdims=True), 1e-9)
        bitangent = np.cross(across / np.maximum(mm[..., None] ** 2, 1e-9), tangent)
        of_u, of_v = (light * tangent).sum(-1), (light * bitangent).sum(-1)
        square = of_u**2 + of_v**2
        believed = seen * square / (square + _AMBIGUITY)
        share = believed / np.maximum(square, 1e-6)
        return cls(valid, usual_mm, of_u * share, of_v * share, believed, bare * valid)

    def layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the texels need of it."""
        return self.bare, self.side_u, self.side_v, self.believed


def _band(
    values: Float[np.ndarray, "size size"], finest_px: float, coarsest_px: float
) -> Float[np.ndarray, "size size"]:
    """What is finer than the one radius and not finer than the other."""
    # A wide blur of a large picture is that of a small one, enlarged.
    step = max(1, int(coarsest_px / 3.0))
    small = cv2.resize(values, None, fx=1.0 / step, fy=1.0 / step, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(small, (0, 0), max(coarsest_px / step, 0.5))
    fine = cv2.GaussianBlur(values, (0, 0), finest_px) if finest_px > 0.4 else values
    return fine - _enlarged(coarse, len(values))


def _enlarged(values: Float[np.ndarray, "some some"], size: int) -> Float[np.ndarray, "size size"]:
    return cv2.resize(np.asarray(values, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
