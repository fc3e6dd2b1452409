from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.detection import Detection
from data.detector import FaceDetector
from inference.checked import CheckedFaces
from inference.confidence import Signals
from inference.faces import FaceAnswer, FaceReconstructor, FaceRequest

PHOTOGRAPH = np.zeros((200, 300, 3), np.uint8)
BOX = np.array([100, 60, 180, 140], np.float32)
UPRIGHT = np.array([[120, 85], [160, 85], [140, 100], [140, 120], [102, 90], [178, 90]], np.float32)
AGREES, DISAGREES = Signals(0.8, 4.0, 8.0, 0.9), Signals(15.0, 50.0, 60.0, 0.7)


class Told(FaceReconstructor, FaceDetector):
    """Knows how the face is turned: looks and answers agree only there."""

    def __init__(self, true_roll: float) -> None:
        self.true_roll, self.asked = true_roll, []

    def turned_looks(self, image_srgb: np.ndarray, face: Detection) -> list[Detection]:
        looks = []
        for quarters in range(4):
            # Counter-clockwise by a quarter, with y down.
            centered = face.points_px - face.center_px
            for _ in range(quarters):
                centered = np.stack((centered[:, 1], -centered[:, 0]), axis=1)
            points = (centered + face.center_px).astype(np.float32)
            looks.append(replace(face, points_px=points, roll_degrees=90.0 * quarters))
        return looks

    def answers(self, requests: Sequence[FaceRequest], *, fine: bool = True) -> list[FaceAnswer]:
        self.asked.append([request.roll_degrees for request in requests])
        right = [abs((request.roll_degrees - self.true_roll + 180) % 360 - 180) < 20 for request in requests]
        return [
            FaceAnswer(request, "head", AGREES if good else DISAGREES)  # pyright: ignore
            for request, good in zip(requests, right, strict=True)
        ]


def asked(true_roll: float) -> tuple[FaceAnswer, list[list[float]]]:
    told = Told(true_roll)
    request = FaceRequest.of_detection(PHOTOGRAPH, Detection(BOX, UPRIGHT, 0.9))
    (answer,) = CheckedFaces(told, told).answers([request])
    return answer, told.asked


def test_an_answer_that_agrees_is_not_asked_again() -> None:
    answer, rolls = asked(0.0)
    assert rolls == [[0.0], []]
    assert answer.signals == AGREES


def test_a_face_that_lies_on_its_side_is_found_by_turning_the_photograph() -> None:
    for true in (90.0, 180.0, -90.0):
        answer, rolls = asked(true)
        assert len(rolls[1]) == 3
        assert answer.signals == AGREES
        assert abs((answer.request.roll_degrees - true + 180) % 360 - 180) < 1.0
        assert answer.request.detection is not None
        assert answer.request.detection.roll_degrees == answer.request.roll_degrees


def test_what_disagrees_in_all_turns_stays_doubtful() -> None:
    answer, rolls = asked(45.0)
    assert len(rolls[1]) == 3
    assert answer.confidence < 0.5
    assert answer.request.roll_degrees == 0.0
