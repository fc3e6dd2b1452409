import numpy as np
import pytest

from data.detection import Detection
from inference.confidence import Signals, confidence, doubts, points_percent, spread_percent
from tests.data.data_scenes import face_points

GOOD = Signals(spread_percent=0.8, points_percent=4.0, shift_percent=8.0, score=0.9)
BAD = Signals(spread_percent=9.0, points_percent=30.0, shift_percent=60.0, score=0.6)


def test_looks_that_agree_are_trusted_and_others_are_not() -> None:
    assert 0.0 <= confidence(BAD) < 0.3 < 0.7 < confidence(GOOD) <= 1.0


@pytest.mark.parametrize("name", ["spread_percent", "points_percent"])
def test_each_disagreement_lowers_the_confidence(name: str) -> None:
    worse = Signals(**{**vars(GOOD), name: 5.0 * getattr(GOOD, name)})
    assert confidence(worse) < confidence(GOOD)
    # Nor does what is hardly measurable make it certain.
    exact = Signals(0.0, 0.0, 0.0, 1.0)
    assert confidence(exact) < 1.0


def test_the_spread_is_a_share_of_the_size() -> None:
    points = face_points()[:, :2]
    looks = np.stack([points + (3.0, 0.0), points - (3.0, 0.0)])
    width, height = points.max(axis=0) - points.min(axis=0)
    assert spread_percent(looks) == pytest.approx(300.0 / np.sqrt(width * height))
    assert spread_percent(10.0 * looks) == pytest.approx(spread_percent(looks))


def test_points_are_compared_with_those_of_the_detector() -> None:
    points = face_points()[:, :2]
    eyes, nose = (points[36:42].mean(0), points[42:48].mean(0)), points[30]
    five = np.stack((*eyes, nose, points[48], points[54])).astype(np.float32)
    box = np.concatenate((points.min(0), points.max(0))).astype(np.float32)
    assert points_percent(points, Detection(box, five, 1.0)) == pytest.approx(0.0, abs=1e-4)
    upside_down = five[[1, 0, 2, 4, 3]] * (1.0, -1.0) + (0.0, 2.0 * five[2, 1])
    assert points_percent(points, Detection(box, upside_down.astype(np.float32), 1.0)) > 25.0


def test_doubtful_faces_are_told_with_their_number() -> None:
    assert doubts({0: 0.9, 1: 0.7}) == ""
    assert doubts({0: 0.9, 2: 0.123}) == "face2 is doubtful: confidence 0.12"
