from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from data.detection import Detection
from data.detector import FaceDetector
from evaluation.aflw2000 import FaceError, best_detection, evaluate_faces, format_table, in_bin, summarize
from evaluation.aflw2000_data import TrueFace
from inference.faces import FaceReconstructor
from tests.small_world import ibug68_layout, toy_reconstructor

ERRORS = [
    FaceError("a", 0.0, 2.0, np.array([1.0, 2.0, 3.0])),
    FaceError("b", 29.9, 4.0, np.array([3.0, 2.0, 1.0])),
    FaceError("c", 30.0, 5.0, np.zeros(3)),
    FaceError("d", 60.0, None, None),
    FaceError("e", 91.0, 9.0, np.zeros(3)),
]


class Told(FaceDetector):
    """Answers with given boxes."""

    def __init__(self, boxes: Sequence[tuple[float, float, float, float]]) -> None:
        self._boxes = boxes

    def detect(self, image_srgb: np.ndarray, *, largest_face: bool = False) -> list[Detection]:
        return [Detection(np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.9) for box in self._boxes]

    def turned_looks(self, image_srgb: np.ndarray, face: Detection) -> list[Detection]:
        return []


def test_bins_hold_their_lower_end_and_the_last_one_what_lies_beyond() -> None:
    assert [[error.name for error in in_bin(ERRORS, *ends)] for ends in ((0, 30), (30, 60), (60, 90))] == [
        ["a", "b"],
        ["c"],
        ["d", "e"],
    ]


def test_both_conventions_for_missed_faces() -> None:
    assert summarize(ERRORS, count_missed=False).bins == (3.0, 5.0, 9.0)
    assert summarize(ERRORS, count_missed=True).bins == (3.0, 5.0, 54.5)
    assert summarize(ERRORS, count_missed=False).mean == pytest.approx(17.0 / 3.0)


def test_the_table_names_the_missed_faces() -> None:
    text = format_table(ERRORS, ERRORS)
    assert "missed 1 of 5 faces (20.0 %): d" in text
    assert "1.00, 1.00, 1.00 degrees" in text


def test_a_bin_without_pictures_has_no_figure_and_then_there_is_no_mean() -> None:
    text = format_table(ERRORS[:2], ERRORS[:2])
    assert "nan" not in text
    row = next(line for line in text.splitlines() if line.startswith("own detection, missed faces left out"))
    assert row.split()[-4:] == ["3.00", "-", "-", "-"]


def test_the_best_of_several_detections_counts_and_one_elsewhere_is_a_miss() -> None:
    image, true = np.zeros((100, 100, 3), np.uint8), np.array([10.0, 10.0, 40.0, 40.0])
    found = best_detection(Told([(60, 60, 90, 90), (5, 5, 40, 42), (20, 20, 40, 40)]), image, true)
    assert found is not None
    assert found.box_px.tolist() == [5.0, 5.0, 40.0, 42.0]
    assert best_detection(Told([(60, 60, 90, 90)]), image, true) is None
    assert best_detection(Told([]), image, true) is None


def test_pictures_go_through_detector_and_model(tmp_path: Path) -> None:
    path = tmp_path / "image1.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path)
    landmarks = ibug68_layout() * (45.0, -60.0) + (223.0, 120.0)
    face = TrueFace(path, landmarks, np.array([5.0, 0.0, 0.0]))
    faces = FaceReconstructor(toy_reconstructor(), torch.device("cpu"))
    (own,) = evaluate_faces([face], faces, FaceDetector())
    (true,) = evaluate_faces([face], faces, None)
    (missed,) = evaluate_faces([face], faces, Told([]))
    assert own.nme_percent is not None
    assert true.nme_percent is not None
    assert true.nme_percent < 10.0
    assert own.nme_percent < 40.0
    assert missed.nme_percent is None
    assert own.absolute_yaw_degrees == 5.0
