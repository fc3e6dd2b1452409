import numpy as np

from data.alignment import CropWindow, transform_points, window_from_landmarks
from data.landmarks import IBUG68_MIRROR
from data.masks import EYE_WEIGHT, central_mask, skin_mask
from tests.data.data_scenes import face_points


def crop_points(size: int) -> np.ndarray:
    points = face_points()
    matrix = window_from_landmarks(points).to_crop(size)
    return transform_points(matrix, points[:, :2].astype(np.float64))


def test_skin_is_on_the_cheeks_and_not_in_corners_mouth_or_eyes() -> None:
    points = crop_points(128)
    mask = skin_mask(points, 128)

    def at(point: np.ndarray) -> float:
        return float(mask[int(point[1]), int(point[0])])

    assert at(0.5 * (points[2] + points[33])) == 1.0
    assert at(points[60:68].mean(0)) == 0.0
    assert at(points[36:42].mean(0)) == EYE_WEIGHT
    assert mask[0, 0] == mask[-1, 0] == mask[-1, -1] == 0.0


def test_the_forehead_belongs_to_it() -> None:
    points = crop_points(128)
    mask = skin_mask(points, 128)
    brow = points[17:27].mean(0)
    nose = points[30, 1] - points[27, 1]
    assert mask[int(brow[1] - 0.4 * nose), int(brow[0])] == 1.0


def test_the_mask_of_a_mirrored_face_is_mirrored() -> None:
    points = crop_points(128) + (3.0, 0.0)
    mirrored = (np.array([128.0, 0.0]) + points * (-1, 1))[IBUG68_MIRROR]
    difference = np.abs(skin_mask(points, 128)[:, ::-1] - skin_mask(mirrored, 128))
    # Rasterising rounds at the outline.
    assert difference.mean() < 0.01


def test_points_far_outside_do_no_harm() -> None:
    assert skin_mask(crop_points(64) + 1e6, 64).sum() == 0.0


def test_without_landmarks_the_mask_is_about_the_middle_of_the_window() -> None:
    window = CropWindow(10.0, 10.0, 100.0)
    mask = central_mask(window.from_crop(1), 120)
    assert mask[63, 60] == 1.0
    assert mask[12, 12] == 0.0
    assert 0.15 < mask.mean() < 0.35
