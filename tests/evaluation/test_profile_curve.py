from dataclasses import astuple

import numpy as np
import pytest

from evaluation.profile_curve import cut_at_middle, distances_to_curve, feature_depths, polyline
from tests.evaluation.small_scans import CHIN, LOWER_LIP, NOSE, UPPER_LIP, relief_answer, relief_depth_mm, relief_scan

ANSWER, SCAN = relief_answer(), relief_scan()


def cut(vertices_mm: np.ndarray) -> np.ndarray:
    return cut_at_middle(vertices_mm, ANSWER.faces, ANSWER.skin)


def moved(middle_mm: float, half_height_mm: float, by_mm: float) -> np.ndarray:
    x, y, _ = ANSWER.posed_mm.T
    bump = by_mm * np.exp(-((x / 14.0) ** 2) - ((y - middle_mm) / half_height_mm) ** 2)
    return ANSWER.posed_mm + bump[:, None] * (0.0, 0.0, 1.0)


def test_the_profile_of_a_head_lies_on_itself() -> None:
    curve_mm = cut(ANSWER.posed_mm)
    middle_mm = np.column_stack((np.zeros(len(curve_mm)), curve_mm[:, 0]))
    assert distances_to_curve(middle_mm, curve_mm).max() < 1e-9
    assert distances_to_curve(SCAN.profile_mm, curve_mm).max() < 1e-6
    assert distances_to_curve(SCAN.profile_mm, polyline(SCAN.profile_mm)).max() < 1e-9


def test_a_profile_that_lies_deeper_is_so_far_away() -> None:
    line = polyline(np.column_stack((np.zeros(5), np.arange(5.0), np.full(5, 3.0))))
    asked = np.array([[0.0, 2.2, 5.0], [0.0, 0.3, 0.0], [0.0, 7.0, 7.0]])
    np.testing.assert_allclose(distances_to_curve(asked, line), [2.0, 3.0, 5.0])


def test_what_is_no_skin_is_no_profile() -> None:
    # A tongue: a sheet in front of the face, whose triangles are no skin.
    count = len(ANSWER.posed_mm)
    vertices_mm = np.concatenate((ANSWER.posed_mm, [[-9.0, -70.0, 60.0], [9.0, -70.0, 60.0], [0.0, -75.0, 60.0]]))
    faces = np.concatenate((ANSWER.faces, [[count, count + 1, count + 2]]))
    skin = np.append(ANSWER.skin, False)
    assert cut_at_middle(vertices_mm, faces, skin)[..., 1].max() < 50.0
    assert cut_at_middle(vertices_mm, faces, np.ones_like(skin))[..., 1].max() == pytest.approx(60.0)


def test_a_head_beside_the_plane_is_refused() -> None:
    with pytest.raises(ValueError, match="does not meet the skin"):
        cut(ANSWER.posed_mm + (200.0, 0.0, 0.0))


def test_the_features_are_where_they_were_put() -> None:
    depths = feature_depths(polyline(SCAN.profile_mm), SCAN.landmarks7_mm)
    for found, (middle_mm, _, half_height_mm) in zip(astuple(depths), (NOSE, UPPER_LIP, LOWER_LIP, CHIN), strict=True):
        near = relief_depth_mm(np.zeros(9), middle_mm + np.linspace(-half_height_mm, half_height_mm, 9) * 0.6)
        assert near.min() - 0.3 < found < near.max() + 0.3
    of_mesh = feature_depths(cut(ANSWER.posed_mm), ANSWER.posed_landmarks7_mm)
    np.testing.assert_allclose(astuple(of_mesh - depths), 0.0, atol=0.1)


@pytest.mark.parametrize(("feature", "place"), enumerate((NOSE, UPPER_LIP, LOWER_LIP, CHIN)))
def test_what_stands_out_2_mm_too_far_is_told_with_its_sign(feature: int, place: tuple[float, float, float]) -> None:
    before = feature_depths(cut(ANSWER.posed_mm), ANSWER.posed_landmarks7_mm)
    for by_mm in (2.0, -2.0):
        after = feature_depths(cut(moved(place[0], 4.0, by_mm)), ANSWER.posed_landmarks7_mm)
        assert astuple(after - before)[feature] == pytest.approx(by_mm, abs=0.6)


def test_an_open_mouth_does_not_let_the_back_of_the_head_through() -> None:
    opened = np.abs(SCAN.profile_mm[:, 1] + 69.0) > 2.1
    upper, lower = (
        SCAN.profile_mm[opened & (SCAN.profile_mm[:, 1] > -69)],
        SCAN.profile_mm[opened & (SCAN.profile_mm[:, 1] < -69)],
    )
    back = np.array([[0.0, 40.0, -150.0], [0.0, -130.0, -140.0]])
    curve_mm = np.concatenate([polyline(part) for part in (upper, lower, back)])
    closed = feature_depths(polyline(SCAN.profile_mm), SCAN.landmarks7_mm)
    np.testing.assert_allclose(astuple(feature_depths(curve_mm, SCAN.landmarks7_mm)), astuple(closed), atol=0.5)


def test_a_face_without_a_hollow_has_no_chin() -> None:
    y = np.arange(20.0, -120.0, -1.0)
    plain = polyline(np.column_stack((np.zeros_like(y), y, 30.0 - ((y + 40.0) / 25.0) ** 2)))
    depths = feature_depths(plain, SCAN.landmarks7_mm)
    assert depths.nose_mm == pytest.approx(30.0, abs=0.1)
    assert np.isnan([depths.lower_lip_mm, depths.chin_mm]).all()
    far = feature_depths(plain, SCAN.landmarks7_mm - (0.0, 500.0, 0.0))
    assert np.isnan(astuple(far)).all()
