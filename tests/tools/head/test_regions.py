"""The boxes that tell where the ears are."""

import numpy as np

from tools.head.regions import EARS, EARS_DENSE, EARS_NOT_EVENED, near_ears


def test_a_box_holds_both_ears_and_not_the_cheeks() -> None:
    points = np.array([[75.0, -10.0, -70.0], [-75.0, -10.0, -70.0], [60.0, -10.0, -70.0], [75.0, -10.0, 0.0]])
    np.testing.assert_array_equal(near_ears(points, EARS), [True, True, False, False])
    np.testing.assert_array_equal(near_ears(points + (0.0, 40.0, 0.0), EARS), False)
    np.testing.assert_array_equal(near_ears(points - (0.0, 55.0, 0.0), EARS), False)


def test_each_box_lies_within_the_next() -> None:
    points = np.random.default_rng(0).uniform((-90.0, -90.0, -90.0), (90.0, 60.0, -30.0), (20_000, 3))
    inner, middle, outer = (near_ears(points, box) for box in (EARS, EARS_DENSE, EARS_NOT_EVENED))
    assert not (inner & ~middle).any()
    assert not (middle & ~outer).any()
    assert inner.sum() < middle.sum() < outer.sum()
