"""The benchmark's figures, on maps whose errors are known."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from evaluation.inverse_rendering.metrics import masked_psnr_db, shadow_imprint, skin_figures
from evaluation.inverse_rendering.truth import TEXEL_GRID, TexelTruth, on_texel_grid


@pytest.fixture(scope="module")
def truth() -> TexelTruth:
    """Mottled skin, seen in a square, with the shadow of something narrow across it."""
    random = np.random.default_rng(0)
    noise = gaussian_filter(random.standard_normal((TEXEL_GRID, TEXEL_GRID, 3)), (3.0, 3.0, 0.0))
    albedo = np.clip(0.3 * np.exp(2.0 * noise), 0.02, 0.9).astype(np.float32)
    judged = np.zeros((TEXEL_GRID, TEXEL_GRID), bool)
    judged[60:200, 60:200] = True
    lit = np.ones((TEXEL_GRID, TEXEL_GRID), np.float32)
    lit[90:150, 110:130] = 0.3
    return TexelTruth(judged, albedo, np.where(judged, gaussian_filter(lit, 1.5), 1.0).astype(np.float32))


def test_the_truth_has_no_error(truth: TexelTruth) -> None:
    figures = skin_figures(truth.diffuse_linear, 40.0, truth)
    assert figures.psnr_db == 40.0
    assert figures.albedo_error == pytest.approx(0.0, abs=1e-7)
    assert figures.shadow_imprint == pytest.approx(0.0, abs=1e-6)
    assert figures.tone_error == pytest.approx(0.0, abs=1e-6)


def test_a_wrong_tone_is_an_error_but_not_after_the_best_gain(truth: TexelTruth) -> None:
    figures = skin_figures(0.5 * truth.diffuse_linear, 0.0, truth)
    true = truth.diffuse_linear[truth.judged]
    assert figures.albedo_error == pytest.approx(0.5 * math.sqrt((true.astype(float) ** 2).mean()), rel=1e-4)
    assert figures.albedo_error_scaled == pytest.approx(0.0, abs=1e-6)
    assert figures.tone_error == pytest.approx(-0.5, abs=1e-5)


def test_texels_that_are_not_judged_do_not_count(truth: TexelTruth) -> None:
    elsewhere = np.where(truth.judged[..., None], truth.diffuse_linear, 0.9).astype(np.float32)
    figures = skin_figures(elsewhere, 0.0, truth)
    assert figures.albedo_error == pytest.approx(0.0, abs=1e-7)
    assert figures.shadow_imprint == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("share", [-0.3, 0.0, 0.5, 1.0])
def test_the_imprint_is_the_share_of_the_shadow_that_is_painted(truth: TexelTruth, share: float) -> None:
    painted = truth.diffuse_linear * truth.lit_share[..., None] ** share
    assert shadow_imprint(painted, truth) == pytest.approx(share, abs=0.03)


def test_tone_and_slow_changes_leave_no_imprint(truth: TexelTruth) -> None:
    slope = np.linspace(0.5, 1.5, TEXEL_GRID, dtype=np.float32)[None, :, None]
    assert abs(shadow_imprint(0.4 * slope * truth.diffuse_linear, truth)) < 0.03


def test_without_a_shadow_there_is_no_imprint(truth: TexelTruth) -> None:
    bare = TexelTruth(truth.judged, truth.diffuse_linear, np.ones_like(truth.lit_share))
    assert math.isnan(shadow_imprint(0.5 * truth.diffuse_linear, bare))


@pytest.mark.parametrize("factor", [2, 4])
def test_finer_maps_are_averaged(truth: TexelTruth, factor: int) -> None:
    finer = truth.diffuse_linear.repeat(factor, 0).repeat(factor, 1)
    assert np.allclose(on_texel_grid(finer), truth.diffuse_linear, atol=1e-6)


def test_psnr_is_that_of_the_mask() -> None:
    photograph, mask = np.full((4, 4, 3), 0.5, np.float32), np.zeros((4, 4), bool)
    mask[1] = True
    picture = photograph + 0.4
    picture[1] = 0.6
    assert masked_psnr_db(picture, photograph, mask) == pytest.approx(20.0, abs=1e-4)
    # What is brighter than white is white.
    assert masked_psnr_db(np.full_like(photograph, 7.0), np.ones_like(photograph), mask) == pytest.approx(100.0)
