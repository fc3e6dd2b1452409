import numpy as np
import pytest

from evaluation.metrics import (
    area_under_roc,
    intersection_over_union,
    landmark_box,
    nme_percent,
    same_person_area,
)


def test_a_shift_by_a_tenth_of_the_box_is_ten_percent() -> None:
    truth = np.random.default_rng(0).uniform(0.0, 1.0, (68, 2)) * [40.0, 90.0]
    left, top, right, bottom = landmark_box(truth)
    size = np.sqrt((right - left) * (bottom - top))
    assert nme_percent(truth + [0.06 * size, 0.08 * size], truth) == pytest.approx(10.0)
    assert nme_percent(truth, truth) == 0.0


def test_overlap_of_boxes() -> None:
    box = np.array([0.0, 0.0, 2.0, 2.0])
    assert intersection_over_union(box, box) == 1.0
    assert intersection_over_union(box, np.array([1.0, 0.0, 3.0, 2.0])) == pytest.approx(1 / 3)
    assert intersection_over_union(box, np.array([5.0, 5.0, 6.0, 6.0])) == 0.0


def test_roc_area_counts_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 10, 40).astype(float), rng.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert area_under_roc(scores, positive) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="positives and negatives"):
        area_under_roc(scores, np.ones(40, dtype=bool))


def test_vectors_around_their_person_tell_people_apart_and_equal_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(10), 5)
    centres = rng.normal(size=(10, 8))
    vectors = centres[people] + 0.1 * rng.normal(size=(50, 8))
    assert same_person_area(vectors, people) > 0.99
    assert same_person_area(7.0 * vectors * rng.uniform(0.5, 2.0, (50, 1)), people, cosine=True) > 0.99
    assert same_person_area(np.ones((50, 8)), people) == pytest.approx(0.5)
