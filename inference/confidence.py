"""How far an answer can be trusted: what several looks at a face say of one another and of what was detected.

A network answers with a head whatever it is shown. Whether the head is right shows in what does not depend on one
answer: whether looks at the crop, a closer one and their mirror images agree, whether the head's eyes, nose and mouth
lie where the detector saw them, and whether the first crop had to be moved far.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from data.detection import Detection

DOUBTFUL_BELOW = 0.5
"""An answer with a lower confidence is reported as doubtful."""

_RIGHT_EYE, _LEFT_EYE, _NOSE = slice(36, 42), slice(42, 48), 30
_MOUTH_CORNERS = (48, 54)

# The logarithms of the three signals, the logit of the detector's score, and their weights in a logistic regression.
_LEAST_PERCENT = 0.3
_MOST_SURE = 0.99
_WEIGHTS = np.array([2.58, -2.007, -0.959, -0.106, 0.566])


@dataclass(frozen=True)
class Signals:
    """What speaks for or against an answer; distances in percent of the face's size.

    Attributes:
        spread_percent: Mean distance of the looks' 68 points from their mean.
        points_percent: Mean distance of the head's eyes, nose and mouth from where the detector saw them.
        shift_percent: How far the last crop is from the first one: its centre, in sides, and the logarithm of its side.
        score: The detector's.
    """

    spread_percent: float
    points_percent: float
    shift_percent: float
    score: float

    @property
    def features(self) -> Float[np.ndarray, "5"]:
        """What the regression weighs; the first is 1."""
        distances = np.array([self.spread_percent, self.points_percent, self.shift_percent])
        score = min(max(self.score, 1.0 - _MOST_SURE), _MOST_SURE)
        return np.array([1.0, *np.log(np.maximum(distances, _LEAST_PERCENT)), np.log(score / (1.0 - score))])


def confidence(signals: Signals) -> float:
    """Probability that the landmarks are right, to an NME of 8 %, were wrong answers as frequent as right ones.

    A logistic regression over training photographs, whole, covered, tiny and turned, and places without a face
    (`tools/calibrate_confidence.py`: 379 answers, 97 of them wrong; the spread alone ranks nearly as well as all four).
    `evaluate.py confidence` measures it on others.
    """
    return float(1.0 / (1.0 + np.exp(-np.clip(signals.features @ _WEIGHTS, -30.0, 30.0))))


def spread_percent(looks_px: Float[np.ndarray, "look 68 2"]) -> float:
    """Mean distance of several looks' points from their mean, in percent of the face's size."""
    mean = looks_px.mean(axis=0)
    return 100.0 * float(np.linalg.norm(looks_px - mean, axis=-1).mean()) / _size_px(mean)


def points_percent(landmarks_px: Float[np.ndarray, "68 2"], detection: Detection) -> float:
    """Mean distance of a head's eyes, nose and mouth from the detector's, in percent of the face's size."""
    features = [landmarks_px[_RIGHT_EYE].mean(axis=0), landmarks_px[_LEFT_EYE].mean(axis=0), landmarks_px[_NOSE]]
    features.append(landmarks_px[list(_MOUTH_CORNERS)].mean(axis=0))
    off = np.linalg.norm(np.stack(features) - detection.features_px, axis=1)
    return 100.0 * float(off.mean()) / _size_px(landmarks_px)


def _size_px(landmarks_px: Float[np.ndarray, "68 2"]) -> float:
    width, height = landmarks_px.max(axis=0) - landmarks_px.min(axis=0)
    return max(float(np.sqrt(width * height)), 1e-6)


def doubts(confidences: Mapping[int, float]) -> str:
    """What a report says of the faces of a photograph whose answers are doubtful; empty where none is.

    Args:
        confidences: Of each face by its number.
    """
    found = [(index, value) for index, value in sorted(confidences.items()) if value < DOUBTFUL_BELOW]
    return "; ".join(f"face{index} is doubtful: confidence {value:.2f}" for index, value in found)
