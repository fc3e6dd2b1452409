import torch
from torch import Tensor

from model.losses.priors import (
    albedo_range,
    exposure_prior,
    gaussian_prior,
    negative_light,
    sparse_prior,
    white_light,
)
from model.losses.symmetry import mirror_difference
from tests.small_world import toy_head


def light(level: float, tint: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    lighting = torch.zeros(1, 9, 3)
    lighting[:, 0], lighting[:, 1] = level, 0.3 * level
    return lighting * torch.tensor(tint)


def test_the_gaussian_prior_is_the_mean_square() -> None:
    assert gaussian_prior(torch.tensor([[1.0, -2.0], [0.0, 1.0]])) == 1.5


def test_one_shape_at_full_weight_is_preferred_to_many_at_half() -> None:
    one, many = torch.zeros(1, 10), torch.full((1, 10), 0.5)
    one[0, 3] = 1.0
    assert sparse_prior(one) < sparse_prior(many)
    assert sparse_prior(torch.zeros(1, 10)) == 0.0


def test_white_light_of_any_level_is_free_and_colour_counts_alike_at_any_level() -> None:
    for level in (0.5, 2.0):
        assert white_light(light(level)) < 1e-12
    tint = (1.2, 1.0, 0.8)
    torch.testing.assert_close(white_light(light(0.5, tint)), white_light(light(2.0, tint)))
    assert white_light(light(1.0, (1.4, 1.0, 0.6))) > white_light(light(1.0, tint))


def test_exposure_is_best_at_one_and_symmetric_in_stops() -> None:
    assert exposure_prior(light(1.0)) < 1e-10
    torch.testing.assert_close(exposure_prior(light(2.0)), exposure_prior(light(0.5)), rtol=1e-4, atol=0.0)
    assert torch.isfinite(exposure_prior(light(-1.0)))


def test_shading_below_zero_and_albedo_out_of_range_cost_and_nothing_else_does() -> None:
    assert negative_light(torch.rand(1, 5, 3)) == 0.0
    assert negative_light(torch.full((1, 5, 3), -0.5)) == 0.25
    assert albedo_range(0.01 + 0.9 * torch.rand(1, 5, 3)) == 0.0
    assert albedo_range(torch.full((1, 5, 3), 1.5)) == 0.25
    assert albedo_range(torch.full((1, 5, 3), -0.1)) > 0.0


def test_a_symmetric_albedo_is_free_and_a_mole_is_cheap() -> None:
    head = toy_head()
    mirror = torch.from_numpy(head.mirror).long()
    values = torch.rand(1, len(mirror), 3)
    symmetric = 0.5 * (values + values[:, mirror])
    assert mirror_difference(symmetric, mirror) < 1e-7
    mole = symmetric.clone()
    mole[0, 41] = 0.0
    assert 0.0 < mirror_difference(mole, mirror) < 0.1 * mirror_difference(values, mirror)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, 9, 3, generator=generator, dtype=torch.float64)
    values[:, 0] = 1.0 + 0.3 * values[:, 0].abs()
    mirror = torch.tensor([1, 0, 2, 4, 3, 5, 8, 7, 6])
    for loss in (
        lambda v: gaussian_prior(v[0]),
        lambda v: sparse_prior(v[0]),
        exposure_prior,
        negative_light,
        albedo_range,
        lambda v: mirror_difference(v, mirror),
    ):
        assert torch.autograd.gradcheck(loss, (values.clone().requires_grad_(),))


def test_white_light_pulls_the_channels_together() -> None:
    lighting = light(1.0, (1.3, 1.0, 0.7)).requires_grad_()
    white_light(lighting).backward()
    assert lighting.grad is not None
    red, _, blue = lighting.grad[0, 0]
    assert red > 0 > blue
