import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from evaluation.scan_alignment import ScanDistances, align_to_scan, scan_to_mesh
from model.geometry.similarity import Similarity, align_landmarks
from model.geometry.surface_distance import Surface
from tests.evaluation.small_scans import relief_answer, relief_scan

MOTION = Similarity(
    1.1, Rotation.from_euler("xyz", [20.0, -35.0, 10.0], degrees=True).as_matrix(), np.array([9.0, 8, -7])
)
POINTS = np.random.default_rng(0).normal(0.0, 30.0, (7, 3))


def test_similarities_are_undone_and_follow_one_another() -> None:
    np.testing.assert_allclose(MOTION.undo(MOTION.apply(POINTS)), POINTS, atol=1e-9)
    np.testing.assert_allclose(MOTION.after(MOTION).apply(POINTS), MOTION.apply(MOTION.apply(POINTS)), atol=1e-9)


def test_landmarks_give_scale_turn_and_shift() -> None:
    found = align_landmarks(POINTS, MOTION.apply(POINTS), scaled=True)
    assert found.scale == pytest.approx(1.1)
    np.testing.assert_allclose(found.rotation, MOTION.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation_mm, MOTION.translation_mm, atol=1e-9)
    rigid = align_landmarks(POINTS, MOTION.apply(POINTS), scaled=False)
    assert rigid.scale == 1.0
    np.testing.assert_allclose(rigid.rotation, MOTION.rotation, atol=1e-9)
    # A mirror image is no turn of a head.
    mirrored = align_landmarks(POINTS, POINTS * (-1.0, 1.0, 1.0), scaled=True)
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1.0)


def test_wrong_landmarks_are_mended_by_the_surface() -> None:
    answer, scan = relief_answer(), relief_scan()
    surface = Surface(answer.posed_mm, answer.faces)
    wrong = Similarity(1.04, Rotation.from_euler("xyz", [3.0, -4.0, 2.0], degrees=True).as_matrix(), np.full(3, 2.0))
    place = align_to_scan(surface, wrong, scan.points_mm, scaled=True)
    assert place.scale == pytest.approx(1.0, abs=1e-3)
    assert scan_to_mesh(surface, place, scan.points_mm).max() < 0.05


def test_the_farthest_tenth_has_no_say_and_is_measured() -> None:
    answer, scan = relief_answer(), relief_scan()
    surface = Surface(answer.posed_mm, answer.faces)
    hair = scan.points_mm[:, 1] > 22.0
    assert 0.02 < hair.mean() < 0.1
    points_mm = scan.points_mm + hair[:, None] * np.array([0.0, 0.0, 15.0])
    start = Similarity(1.0, np.eye(3), np.array([0.5, -0.5, 0.5]))
    distance_mm = scan_to_mesh(surface, align_to_scan(surface, start, points_mm, scaled=True), points_mm)
    assert distance_mm[~hair].max() < 0.05
    assert distance_mm[hair].min() > 5.0


def test_distances_are_told_by_median_mean_and_deviation() -> None:
    told = ScanDistances.of(np.array([0.0, 1.0, 5.0]))
    assert (told.median_mm, told.mean_mm) == (1.0, 2.0)
    assert told.deviation_mm == pytest.approx(np.sqrt(14.0 / 3.0))
