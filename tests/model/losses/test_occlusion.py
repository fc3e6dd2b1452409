import pytest
import torch

from model.losses.occlusion import unoccluded

MASK = torch.ones(1, 40, 40)


def residual(occluder: float = 0.8) -> torch.Tensor:
    """Skin that is explained to about 0.05, and a bar of glasses that is not."""
    distance = 0.05 + 0.02 * torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0))
    distance[:, 10:16] = occluder
    return distance


@pytest.mark.parametrize("smoothing", [0.0, 0.03])
def test_what_stays_unexplained_is_an_occluder(smoothing: float) -> None:
    weight = unoccluded(residual(), MASK, smoothing)
    assert weight[:, 12:14].max() < 0.1
    assert weight[:, 20:].min() > 0.6
    assert ((weight >= 0.0) & (weight <= 1.0)).all()


def test_a_mole_is_no_occluder_when_its_surroundings_are_explained() -> None:
    distance = residual()
    distance[:, 30, 30] = 0.8
    assert unoccluded(distance, MASK)[0, 30, 30] < 0.1
    assert unoccluded(distance, MASK, 0.05)[0, 30, 30] > 0.6


def test_a_chance_hit_inside_an_occluder_belongs_to_it() -> None:
    distance = residual()
    distance[:, 12, 20] = 0.0
    assert unoccluded(distance, MASK)[0, 12, 20] > 0.9
    assert unoccluded(distance, MASK, 0.05)[0, 12, 20] < 0.4


def test_what_is_outside_the_mask_does_not_darken_what_is_inside() -> None:
    distance, mask = residual(), MASK.clone()
    mask[:, 10:16] = 0.0
    weight = unoccluded(distance, mask, 0.1)
    assert weight[:, 16:].min() > 0.6
    assert weight[:, :10].min() > 0.6


def test_a_face_that_is_wrong_all_over_is_not_all_occluder() -> None:
    assert unoccluded(torch.full((1, 8, 8), 0.7), torch.ones(1, 8, 8)).min() > 0.2


def test_each_picture_has_its_own_scale() -> None:
    both = torch.cat((residual(), 0.7 + residual()))
    weight = unoccluded(both, MASK.repeat(2, 1, 1))
    torch.testing.assert_close(weight[:1], unoccluded(residual(), MASK))
    assert weight[1, 20:].min() > 0.2


def test_the_reach_follows_the_size_of_the_picture() -> None:
    small, mask = residual(), MASK
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    at_large = unoccluded(large, mask.repeat_interleave(2, 1).repeat_interleave(2, 2), 0.1)
    halved = torch.nn.functional.avg_pool2d(at_large, 2)
    torch.testing.assert_close(halved, unoccluded(small, mask, 0.1), atol=0.1, rtol=0.0)


def test_it_carries_no_gradient_and_an_empty_mask_is_finite() -> None:
    weight = unoccluded(residual().requires_grad_(), 0.0 * MASK, 0.05)
    assert not weight.requires_grad
    assert torch.isfinite(weight).all()
