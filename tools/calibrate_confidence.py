"""The weights of `inference/confidence.py`: a logistic regression over training photographs, as they are and made hard.

python -m tools.calibrate_confidence --data shards/train
"""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

from common.paths import DEFAULT_CHECKPOINT
from data.detection_limits import LEAST_SCORE
from data.detector import FaceDetector
from evaluation.confidence import JudgedAnswer, judge
from evaluation.hard_photographs import CALIBRATION_TEXTURES, faceless, harden, read_labelled
from evaluation.metrics import area_under_roc
from inference.setup import load_likeness

_RIDGE = 1e-2


def fit_weights(judged: Sequence[JudgedAnswer]) -> Float[np.ndarray, " feature"]:
    """Weights of the signals' features by the likelihood; right and wrong answers count the same."""
    features = np.stack([one.signals.features for one in judged])
    wrong = np.array([one.wrong for one in judged], bool)
    return fit_logistic(features, ~wrong)


def fit_logistic(
    features: Float[np.ndarray, "answer feature"], right: Bool[np.ndarray, " answer"]
) -> Float[np.ndarray, " feature"]:
    """Balanced logistic regression with a small ridge."""
    weight = np.where(right, 0.5 / right.mean(), 0.5 / (~right).mean())
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: Float[np.ndarray, " feature"]) -> float:
        likelihood = np.logaddexp(0.0, -sign * (features @ weights))
        return float((weight * likelihood).mean() + _RIDGE * (weights[1:] ** 2).sum())

    return minimize(loss, np.zeros(features.shape[1])).x


def main() -> None:
    """Read the command line, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of shards of training photographs")
    parser.add_argument("--every", type=int, default=60, help="take one photograph in so many")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint folder")
    arguments = parser.parse_args()
    likeness = load_likeness(arguments.checkpoint, "cpu")
    generator = np.random.default_rng(0)
    photographs = read_labelled(arguments.data, arguments.every)
    # Without second looks: those depend on what is fitted here. Places without a face are taken as they come.
    faces = judge(
        chain.from_iterable(harden(one, generator) for one in photographs), likeness.detector, likeness.faces.answers
    )
    others = judge(faceless(CALIBRATION_TEXTURES), FaceDetector(min_score=LEAST_SCORE), likeness.faces.answers)
    judged = [*faces, *others]
    weights = fit_weights(judged)
    features, wrong = np.stack([one.signals.features for one in judged]), np.array([one.wrong for one in judged], bool)
    print(f"{len(judged)} answers, {wrong.sum()} wrong; area {area_under_roc(-features @ weights, wrong):.3f} on these")
    for name, values in zip(("spread", "points", "shift", "score"), features[:, 1:].T, strict=True):
        area = area_under_roc(values, wrong)
        print(f"  {name} alone {max(area, 1.0 - area):.3f}")
    print(f"_WEIGHTS = np.array({np.round(weights, 3).tolist()})")


if __name__ == "__main__":
    main()
