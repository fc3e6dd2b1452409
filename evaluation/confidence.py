"""Whether the confidence of an answer ranks errors: measured on photographs as they are and made hard."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.detector import FaceDetector
from evaluation.hard_photographs import KINDS, HardPhotograph, Kind
from evaluation.metrics import area_under_roc, intersection_over_union, landmark_box, nme_percent
from inference.confidence import DOUBTFUL_BELOW, Signals
from inference.faces import FaceAnswer, FaceRequest

WRONG_NME_PERCENT = 8.0
"""From here on an answer is wrong; one about no face at all is always."""

_LEAST_OVERLAP = 0.2


@dataclass(frozen=True)
class JudgedAnswer:
    """One answer, and whether it was wrong.

    Attributes:
        kind: Of its photograph.
        signals: What spoke for and against it.
        confidence: What was said.
        wrong: Whether it was.
    """

    kind: Kind
    signals: Signals
    confidence: float
    wrong: bool


def judge(
    photographs: Iterable[HardPhotograph],
    detector: FaceDetector,
    answers: Callable[[list[FaceRequest]], list[FaceAnswer]],
) -> list[JudgedAnswer]:
    """Detect, reconstruct and compare; what is not found is no answer, and not judged.

    Args:
        photographs: As they are, made hard, or without a face.
        detector: Finds faces.
        answers: The reconstruction.
    """
    judged = []
    for photograph in photographs:
        found = detector.detect(photograph.image_srgb)
        if photograph.points_px is not None:
            # Others in the photograph have no labels.
            box = landmark_box(photograph.points_px)
            overlaps = [intersection_over_union(face.box_px, box) for face in found]
            best = int(np.argmax(overlaps)) if overlaps else 0
            found = found[best : best + 1] if overlaps and overlaps[best] >= _LEAST_OVERLAP else []
        for answer in answers([FaceRequest.of_detection(photograph.image_srgb, face) for face in found]):
            assert answer.signals is not None
            judged.append(JudgedAnswer(photograph.kind, answer.signals, answer.confidence, _wrong(answer, photograph)))
    return judged


def _wrong(answer: FaceAnswer, photograph: HardPhotograph) -> bool:
    if photograph.points_px is None:
        return True
    points = answer.reconstruction.landmarks68_image[0, :, :2].double().numpy()
    return nme_percent(points, photograph.points_px) > WRONG_NME_PERCENT


def format_confidence(judged: Sequence[JudgedAnswer]) -> str:
    """The table as text."""
    wrong = f"wrong: NME > {WRONG_NME_PERCENT:.0f} %"
    lines = [
        f"{'':<12}{'answers':>9}{wrong:>18}{'doubtful: right':>17}{'wrong':>8}{'area':>8}{'by score':>10}",
        *(_line(kind, [one for one in judged if one.kind == kind]) for kind in KINDS),
        _line("all", judged),
        "",
        f"doubtful: share of the right and of the wrong answers with a confidence below {DOUBTFUL_BELOW:g}.",
        "area: under the ROC curve, the probability that a wrong answer has less confidence than a right one;",
        "by score: the same by the detector's score alone.",
    ]
    return "\n".join(lines)


def _line(title: str, judged: Sequence[JudgedAnswer]) -> str:
    wrong = np.array([one.wrong for one in judged], bool)
    doubtful = np.array([one.confidence < DOUBTFUL_BELOW for one in judged], bool)
    shares = [f"{100.0 * doubtful[part].mean():.1f} %" if part.any() else "-" for part in (~wrong, wrong)]
    areas = ["-", "-"]
    if 0 < wrong.sum() < len(wrong):
        ranked = ([one.confidence for one in judged], [one.signals.score for one in judged])
        areas = [f"{area_under_roc(-np.array(values), wrong):.3f}" for values in ranked]
    return f"{title:<12}{len(judged):>9}{wrong.sum():>18}{shares[0]:>17}{shares[1]:>8}{areas[0]:>8}{areas[1]:>10}"
