import numpy as np
import pytest

from data.landmarks import IBUG68_LEFT, IBUG68_MIRROR, MEDIAPIPE478_MIRROR, yaw_from_landmarks
from tests.data.data_scenes import face_points


@pytest.mark.parametrize(("table", "count"), [(IBUG68_MIRROR, 68), (MEDIAPIPE478_MIRROR, 478)])
def test_mirroring_twice_changes_nothing(table: np.ndarray, count: int) -> None:
    np.testing.assert_array_equal(np.sort(table), np.arange(count))
    np.testing.assert_array_equal(table[table], np.arange(count))


def test_the_mirror_of_a_symmetric_face_is_itself() -> None:
    points = face_points(center_px=(0.0, 0.0))
    np.testing.assert_allclose(points[IBUG68_MIRROR] * (-1, 1, 1), points, atol=1e-4)


@pytest.mark.parametrize(
    ("right", "left"),
    [(33, 263), (133, 362), (61, 291), (234, 454), (105, 334), (159, 386), (468, 473), (1, 1), (152, 152)],
)
def test_known_pairs_of_the_mesh(right: int, left: int) -> None:
    """Eye corners, mouth corners, ears, brows, lids, irises, nose tip, chin."""
    assert MEDIAPIPE478_MIRROR[right] == left


def test_the_left_points_lie_to_the_right_of_the_picture() -> None:
    points = face_points()
    assert (points[IBUG68_LEFT, 0] > points[IBUG68_MIRROR[IBUG68_LEFT], 0]).all()


@pytest.mark.parametrize("degrees", [-80.0, -30.0, 0.0, 15.0, 60.0])
def test_yaw_is_that_of_a_turned_face(degrees: float) -> None:
    points = face_points(center_px=(0.0, 0.0)).astype(np.float64)
    angle = np.radians(degrees)
    # Positive: he turns to his left, which is the picture's right; z grows towards the viewer.
    x = np.cos(angle) * points[:, 0] + np.sin(angle) * points[:, 2]
    z = -np.sin(angle) * points[:, 0] + np.cos(angle) * points[:, 2]
    turned = np.stack((x, points[:, 1], z), axis=1).astype(np.float32)
    assert np.degrees(yaw_from_landmarks(turned)) == pytest.approx(degrees, abs=0.1)
