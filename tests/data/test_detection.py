import numpy as np
import pytest

from data.detection import Detection, overlap, without_duplicates


def face(left: float, top: float, side: float, score: float) -> Detection:
    box = np.array([left, top, left + side, top + side], np.float32)
    return Detection(box, np.zeros((5, 2), np.float32), score)


def test_duplicates_are_dropped() -> None:
    best, inside, beside = face(0, 0, 20, 0.99), face(5, 5, 8, 0.9), face(30, 0, 20, 0.9)
    assert without_duplicates([inside, best, beside]) == [best, beside]
    assert without_duplicates([]) == []
    # Empty boxes overlap nothing.
    empty = face(3, 3, 0, 0.5)
    assert without_duplicates([empty, best]) == [best, empty]


def test_overlap_is_the_shared_part_of_both() -> None:
    assert overlap(face(0, 0, 10, 1.0), face(5, 0, 10, 1.0)) == pytest.approx(1.0 / 3.0)
    assert overlap(face(0, 0, 10, 1.0), face(20, 0, 10, 1.0)) == 0.0


def test_all_detectors_know_eyes_nose_and_mouth() -> None:
    five = np.array([[1, 1], [3, 1], [2, 2], [1, 3], [3, 5]], np.float32)
    six = np.array([[1, 1], [3, 1], [2, 2], [2, 4], [0, 1], [4, 1]], np.float32)
    box = np.array([0, 0, 4, 4], np.float32)
    np.testing.assert_array_equal(Detection(box, five, 1.0).features_px, Detection(box, six, 1.0).features_px)
    assert Detection(box, five, 1.0).side_px == 4.0
