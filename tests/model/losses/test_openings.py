import pytest
import torch
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.face.openings import EYES_68, LIPS_68
from model.losses.openings import relative_distance
from tests.small_world import toy_head

BOX = torch.tensor([100.0, 50.0], dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)
PAIRS = ((0, 1), (2, 3))


def points(seed: int = 0) -> Tensor:
    return 100.0 * torch.rand(2, 6, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_opening_counts_and_not_the_place() -> None:
    target = points()
    moved = target + torch.tensor([17.0, -9.0], dtype=torch.float64)
    assert relative_distance(moved, target, PAIRS, BOX, ONES) < 1e-12
    opened = target.clone()
    opened[:, 1, 1] += 10.0
    assert relative_distance(opened, target, PAIRS, BOX, ONES) > 0.05
    opened[:, 0, 1] += 10.0
    assert relative_distance(opened, target, PAIRS, BOX, ONES) < 1e-12


def test_a_sample_without_weight_is_left_out() -> None:
    wrong = points()
    wrong[1, 0] += 50.0
    first = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert relative_distance(wrong, points(), PAIRS, BOX, ONES) > 0.1
    assert relative_distance(wrong, points(), PAIRS, BOX, first) < 1e-12


@pytest.mark.parametrize("pairs", [EYES_68, LIPS_68])
def test_the_pairs_are_upper_and_lower_points(pairs: tuple[tuple[int, int], ...]) -> None:
    model = MorphableModel(toy_head())
    points_mm = model.landmarks(model.mean_mm[None])[0]
    for upper, lower in pairs:
        assert points_mm[upper, 1] > points_mm[lower, 1]
        assert abs(points_mm[upper, 0] - points_mm[lower, 0]) < 6.0


def test_gradients() -> None:
    predicted = points(seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: relative_distance(p, points(), PAIRS, BOX, ONES), (predicted,))
