import numpy as np

from data.detection import Detection
from data.detector import FaceDetector
from evaluation.confidence import JudgedAnswer, format_confidence, judge
from evaluation.hard_photographs import HardPhotograph
from inference.confidence import Signals
from inference.faces import FaceAnswer, FaceRequest
from tests.data.data_scenes import face_points

SIGNALS = Signals(0.8, 4.0, 8.0, 0.9)
POINTS = face_points()[:, :2].astype(np.float64)
IMAGE = np.zeros((160, 160, 3), np.uint8)


class Told(FaceDetector):
    """Finds the face, and something beside it."""

    def __init__(self) -> None:
        pass

    def detect(self, image_srgb: np.ndarray, *, largest_face: bool = False) -> list[Detection]:
        box = np.concatenate((POINTS.min(0), POINTS.max(0))).astype(np.float32)
        five = POINTS[[37, 44, 30, 48, 54]].astype(np.float32)
        return [Detection(box - np.float32(75.0), five, 0.9), Detection(box, five, 0.9)]


def answers_off_by(shift_px: float):
    class Head:
        def __init__(self) -> None:
            import torch

            self.landmarks68_image = torch.from_numpy(np.pad(POINTS + shift_px, ((0, 0), (0, 1)))).float()[None]

    def answers(requests: list[FaceRequest]) -> list[FaceAnswer]:
        return [FaceAnswer(request, Head(), SIGNALS) for request in requests]  # pyright: ignore

    return answers


def test_answers_are_judged_by_their_landmarks_and_those_about_nothing_are_wrong() -> None:
    there, nothing = HardPhotograph("whole", IMAGE, POINTS), HardPhotograph("no face", IMAGE, None)
    assert [one.wrong for one in judge([there], Told(), answers_off_by(1.0))] == [False]
    assert [one.wrong for one in judge([there], Told(), answers_off_by(20.0))] == [True]
    # Where there is no face, whatever is found is judged.
    assert [one.wrong for one in judge([nothing], Told(), answers_off_by(0.0))] == [True, True]


def test_the_table_says_how_errors_are_ranked() -> None:
    judged = [JudgedAnswer("whole", SIGNALS, 0.9, False)] * 3 + [JudgedAnswer("covered", SIGNALS, 0.2, True)]
    table = format_confidence(judged)
    whole, covered, total = (
        next(line for line in table.splitlines() if line.startswith(name)) for name in ("whole", "covered", "all")
    )
    assert whole.split()[1:3] == ["3", "0"]
    assert covered.split()[1:3] == ["1", "1"]
    assert total.split()[-2:] == ["1.000", "0.500"]
