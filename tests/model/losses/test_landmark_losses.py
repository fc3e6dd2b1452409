import pytest
import torch
from torch import Tensor

from model.losses.landmarks import landmark_depth, landmark_distance

BOX = torch.tensor([100.0, 50.0], dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)


def points(dimension: int = 2, seed: int = 0) -> Tensor:
    return 100.0 * torch.rand(2, 6, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_no_distance_no_loss() -> None:
    assert landmark_distance(points(), points(), BOX, ONES).abs() < 1e-12


def test_far_from_zero_it_is_the_mean_error_over_the_size() -> None:
    shifted = points() + torch.tensor([30.0, 40.0], dtype=torch.float64)
    loss = landmark_distance(shifted, points(), BOX, ONES)
    # 50 px over faces of 100 and 50 px: 0.5 and 1, less what the rounded corner takes.
    assert loss.item() == pytest.approx(0.75 - 0.01, abs=1e-3)


def test_it_does_not_depend_on_the_resolution() -> None:
    small = landmark_distance(points(seed=1), points(), BOX, ONES)
    large = landmark_distance(3.0 * points(seed=1), 3.0 * points(), 3.0 * BOX, ONES)
    torch.testing.assert_close(small, large)


def test_a_gross_outlier_counts_linearly() -> None:
    target, outlier = points(), points()
    outlier[0, 0, 0] += 100.0
    one = landmark_distance(outlier, target, BOX, ONES)
    outlier[0, 0, 0] += 100.0
    assert landmark_distance(outlier, target, BOX, ONES) < 2.05 * one


def test_a_sample_without_weight_is_left_out() -> None:
    wrong = points()
    wrong[1] += 1000.0
    assert landmark_distance(wrong, points(), BOX, torch.tensor([1.0, 0.0], dtype=torch.float64)) < 1e-12
    assert landmark_distance(wrong, points(), BOX, 0.0 * ONES) == 0.0


def test_weighted_points_matter_more_and_equal_weights_change_nothing() -> None:
    plain = landmark_distance(points(seed=1), points(), BOX, ONES)
    torch.testing.assert_close(
        landmark_distance(points(seed=1), points(), BOX, ONES, torch.full((6,), 7.0, dtype=torch.float64)), plain
    )
    wrong = points()
    wrong[:, 2] += 20.0
    heavy = torch.ones(6, dtype=torch.float64)
    heavy[2] = 5.0
    assert landmark_distance(wrong, points(), BOX, ONES, heavy) > 2 * landmark_distance(wrong, points(), BOX, ONES)


def test_each_face_may_have_weights_of_its_own_of_which_only_the_ratios_matter() -> None:
    wrong = points()
    wrong[:, 2] += 20.0
    weights = torch.ones(2, 6, dtype=torch.float64)
    weights[1, 2] = 0.0
    first = landmark_distance(wrong[:1], points()[:1], BOX[:1], ONES[:1])
    torch.testing.assert_close(landmark_distance(wrong, points(), BOX, ONES, weights), 0.5 * first)
    scaled = weights * torch.tensor([[1.0], [9.0]], dtype=torch.float64)
    wrong[1, 3] += 5.0
    torch.testing.assert_close(
        landmark_distance(wrong, points(), BOX, ONES, scaled), landmark_distance(wrong, points(), BOX, ONES, weights)
    )


def test_depth_prefers_the_right_order_whatever_the_distance() -> None:
    target = torch.zeros(1, 6, 3, dtype=torch.float64)
    target[0, :, 2] = torch.linspace(-30, 30, 6)
    focal_px, box = torch.tensor([400.0], dtype=torch.float64), torch.tensor([80.0], dtype=torch.float64)

    def loss(z_px: Tensor, distance_mm: float) -> float:
        depth_mm = distance_mm - z_px * distance_mm / focal_px
        image = torch.stack((0 * depth_mm, 0 * depth_mm, depth_mm), dim=-1)[None]
        return landmark_depth(image, target, focal_px, box, ONES[:1]).item()

    right = target[0, :, 2]
    for distance_mm in (400.0, 2000.0):
        assert loss(right, distance_mm) < 1e-9
        assert loss(0.5 * right, distance_mm) < loss(-right, distance_mm)
        assert loss(right.flip(0), distance_mm) > 0.1


def test_gradients() -> None:
    predicted, target = points(3, seed=1).requires_grad_(), points(3)
    focal = 3.0 * BOX
    with_depth = predicted.detach() + torch.tensor([0.0, 0.0, 800.0], dtype=torch.float64)
    gradcheck = torch.autograd.gradcheck
    assert gradcheck(lambda p: landmark_distance(p, target, BOX, ONES), (predicted,))
    assert gradcheck(lambda p: landmark_depth(p, target, focal, BOX, ONES), (with_depth.requires_grad_(),))


def test_a_perfect_answer_has_a_finite_gradient() -> None:
    predicted = points().requires_grad_()
    landmark_distance(predicted, points(), BOX, ONES).backward()
    assert predicted.grad is not None
    assert torch.equal(predicted.grad, torch.zeros_like(predicted))
