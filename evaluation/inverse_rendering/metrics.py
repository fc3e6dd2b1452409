"""What a found skin is worth beside the true one."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from common.psnr import psnr_db
from evaluation.inverse_rendering.truth import TexelTruth, on_texel_grid
from model.render.color import REC709_LUMINANCE

_SHADOW_WIDTH_TEXELS = 16.0
"""Coarser differences between found and true albedo are tone or light, not the edge of a cast shadow. A texel is about
1 mm."""

_DARKEST_SHARE = 0.02
_LEAST_SHADOW = 0.05


@dataclass(frozen=True)
class SkinFigures:
    """One found albedo.

    Attributes:
        psnr_db: Of the picture drawn with it against the photograph, sRGB, over the seen skin.
        albedo_error: Root mean square difference of linear reflectance over the judged texels and channels.
        albedo_error_scaled: The same after the best common gain.
        tone_error: Mean luminance found over the true one, minus 1.
        shadow_imprint: 0 where shadows leave no trace in the albedo, 1 where all of them is painted into it; NaN
            where no shadow is seen.
    """

    psnr_db: float
    albedo_error: float
    albedo_error_scaled: float
    tone_error: float
    shadow_imprint: float


def skin_figures(
    diffuse_linear: Float[np.ndarray, "texture texture 3"], psnr_db: float, truth: TexelTruth
) -> SkinFigures:
    """Compare a map of any resolution with the truth."""
    found = on_texel_grid(diffuse_linear).astype(np.float64)
    estimate, true = found[truth.judged], truth.diffuse_linear[truth.judged].astype(np.float64)
    gain = float((estimate * true).sum() / max(float((estimate**2).sum()), 1e-12))
    weights = np.array(REC709_LUMINANCE)
    return SkinFigures(
        psnr_db=psnr_db,
        albedo_error=_root_mean_square(estimate - true),
        albedo_error_scaled=_root_mean_square(gain * estimate - true),
        tone_error=float((estimate @ weights).mean() / (true @ weights).mean() - 1.0),
        shadow_imprint=shadow_imprint(found, truth),
    )


def shadow_imprint(diffuse_linear: Float[np.ndarray, "texel texel 3"], truth: TexelTruth) -> float:
    """How much of the shadows is left in an albedo.

    Let e = log(found / true albedo), in luminance, and s = log(direct light that arrives / the same light without
    shadows). Both are high-passed (minus their mean over a Gaussian of 16 texels, about 16 mm, within the judged
    texels), so that a wrong tone or a wrong slope of the light does not count. The imprint is the slope of the least
    squares line through the origin of e over s. A fit that knows nothing of shadows paints them all: 1. A negative one
    has made shadows lighter than the skin.
    """
    weights = np.array(REC709_LUMINANCE)
    found, true = (np.clip(albedo @ weights, 1e-3, None) for albedo in (diffuse_linear, truth.diffuse_linear))
    error = _fine(np.log(found / true), truth.judged)
    shadow = _fine(np.log(np.clip(truth.lit_share.astype(np.float64), _DARKEST_SHARE, None)), truth.judged)
    # Where there is no shadow there is no edge either: what differs there is skin.
    counted = truth.judged & (np.abs(shadow) > _LEAST_SHADOW)
    if not counted.any():
        return float("nan")
    return float((error[counted] * shadow[counted]).sum() / (shadow[counted] ** 2).sum())


def masked_psnr_db(
    picture_srgb: Float[np.ndarray, "size size 3"],
    photograph_srgb: Float[np.ndarray, "size size 3"],
    mask: Bool[np.ndarray, "size size"],
) -> float:
    """Peak signal-to-noise ratio over a mask, of pictures in [0, 1]."""
    return psnr_db(float(((np.clip(picture_srgb[mask], 0.0, 1.0) - photograph_srgb[mask]) ** 2).mean()))


def _fine(values: Float[np.ndarray, "texel texel"], judged: Bool[np.ndarray, "texel texel"]) -> np.ndarray:
    weight = judged.astype(np.float64)
    mean = gaussian_filter(values * weight, _SHADOW_WIDTH_TEXELS) / np.maximum(
        gaussian_filter(weight, _SHADOW_WIDTH_TEXELS), 1e-6
    )
    return values - mean


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))
