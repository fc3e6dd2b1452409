import numpy as np

from evaluation.metrics import area_under_roc
from tools.calibrate_confidence import fit_logistic


def test_the_regression_ranks_right_before_wrong_and_counts_both_alike() -> None:
    generator = np.random.default_rng(0)
    right = generator.random(2000) < 0.9
    features = np.stack((np.ones(2000), generator.normal(size=2000) + 3.0 * right, generator.normal(size=2000)), axis=1)
    weights = fit_logistic(features, right)
    assert area_under_roc(features @ weights, right) > 0.97
    assert abs(weights[2]) < 0.3 * weights[1]
    # Halfway between the two means the odds are even, although wrong ones are rare.
    assert abs(weights[0] + 1.5 * weights[1]) < 0.3 * weights[1]
