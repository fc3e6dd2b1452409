"""The window of a refinement: what is in it, and that its camera leads back to the photograph."""

import numpy as np
import pytest
import torch

from inference.face_crop import Landmarks, cut_face, photograph_intrinsics
from model.geometry.camera import default_intrinsics, project

CPU = torch.device("cpu")


def landmarks(center: tuple[float, float], size: float) -> Landmarks:
    """Points that fill a square."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2)) * size + center
    points[:2] = np.array([[-0.5, -0.5], [0.5, 0.5]]) * size + center
    return Landmarks(points, np.ones(68))


def photograph(height: int = 240, width: int = 320) -> np.ndarray:
    """Red grows with x, green with y, so that a colour tells a place."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.rint(255.0 * np.stack((x, y, np.zeros_like(x)), axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("center", [(160.0, 120.0), (20.0, 30.0)])
def test_a_point_of_the_head_lies_at_the_same_place_in_window_and_photograph(center: tuple[float, float]) -> None:
    camera = default_intrinsics(240, 320)
    window, crop = cut_face(photograph(), landmarks(center, 80.0), camera, 96, CPU)
    points_mm = torch.tensor([[[-30.0, 20.0, -700.0], [12.0, -40.0, -820.0]]])
    in_window, in_photograph = (project(points_mm, k[None])[0, :, :2] for k in (crop.intrinsics_px, camera))
    scale = window.side_px / 96
    there = in_window * scale + torch.tensor([window.left_px, window.top_px])
    np.testing.assert_allclose(there, in_photograph, atol=1e-3)
    back = photograph_intrinsics(crop.intrinsics_px, window, 96)
    np.testing.assert_allclose(back, camera, rtol=1e-5, atol=1e-3)


def test_another_focal_length_in_the_window_is_the_same_factor_in_the_photograph() -> None:
    camera = default_intrinsics(240, 320)
    window, crop = cut_face(photograph(), landmarks((100.0, 90.0), 80.0), camera, 96, CPU)
    zoomed = crop.intrinsics_px.clone()
    zoomed[0, 0] *= 1.2
    zoomed[1, 1] *= 1.2
    back = photograph_intrinsics(zoomed, window, 96)
    np.testing.assert_allclose(back[:2, :2].diag(), 1.2 * camera[:2, :2].diag(), rtol=1e-5)
    np.testing.assert_allclose(back[:2, 2], camera[:2, 2], atol=1e-3)


def test_the_windows_pixels_and_landmarks_are_the_photographs() -> None:
    found = landmarks((160.0, 120.0), 80.0)
    window, crop = cut_face(photograph(), found, default_intrinsics(240, 320), 96, CPU)
    column, row = 30, 60
    x = (window.left_px + (column + 0.5) * window.side_px / 96) / 320
    y = (window.top_px + (row + 0.5) * window.side_px / 96) / 240
    np.testing.assert_allclose(crop.image_srgb[:, row, column], (x, y, 0.0), atol=0.01)
    expected = (found.points_px - (window.left_px, window.top_px)) * 96 / window.side_px
    np.testing.assert_allclose(crop.landmarks68_px, expected, atol=1e-3)
    # Forehead and chin are in it: half of the points' height above and below them at least.
    assert crop.landmarks68_px.min() > 0.12 * 96
    assert crop.landmarks68_px.max() < 0.88 * 96


def test_inside_marks_where_the_photograph_is() -> None:
    window, crop = cut_face(photograph(), landmarks((20.0, 120.0), 80.0), default_intrinsics(240, 320), 96, CPU)
    outside = round(-window.left_px * 96 / window.side_px)
    assert outside > 5
    assert crop.inside[:, : outside - 1].sum() == 0
    assert crop.inside[:, outside + 1 :].min() == 1
    # The same below the photograph, beyond its right edge and above it.
    for center, row, column in (((160.0, 225.0), 95, 48), ((305.0, 120.0), 48, 95), ((160.0, 15.0), 0, 48)):
        crop = cut_face(photograph(), landmarks(center, 80.0), default_intrinsics(240, 320), 96, CPU)[1]
        assert crop.inside[row, column] == 0
        assert crop.inside[48, 48] == 1


def test_points_that_are_not_known_do_not_place_the_window() -> None:
    found = landmarks((160.0, 120.0), 80.0)
    wrong = Landmarks(found.points_px.copy(), found.weight.copy())
    wrong.points_px[40], wrong.weight[40] = (0.0, 0.0), 0.0
    windows = [cut_face(photograph(), points, default_intrinsics(240, 320), 96, CPU)[0] for points in (found, wrong)]
    assert windows[0].side_px == pytest.approx(windows[1].side_px, rel=0.05)


def test_color_is_that_of_the_face() -> None:
    grey = np.repeat(photograph()[..., :1], 3, axis=2)
    camera = default_intrinsics(240, 320)
    assert not cut_face(grey, landmarks((160.0, 120.0), 80.0), camera, 96, CPU)[1].color
    assert cut_face(photograph(), landmarks((160.0, 120.0), 80.0), camera, 96, CPU)[1].color


def test_points_on_a_line_are_refused() -> None:
    line = Landmarks(np.stack((np.arange(68.0), np.full(68, 50.0)), axis=1), np.ones(68))
    with pytest.raises(ValueError, match="side"):
        cut_face(photograph(), line, default_intrinsics(240, 320), 96, CPU)
