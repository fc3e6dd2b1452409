from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.refine.raytrace import priors

SEEN = torch.ones(16, 16, dtype=torch.bool)
NOBODY = torch.zeros(16, 16, dtype=torch.bool)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def symmetric_texture() -> Tensor:
    texture = drawn(16, 16, 3)
    return texture + texture.flip(1)


def test_white_light_costs_nothing_and_tinted_light_does():
    assert float(priors.white_light(torch.full((3,), 0.7))) == 0.0
    warm, warmer = torch.tensor([1.1, 1.0, 0.9]), torch.tensor([1.4, 1.0, 0.6])
    assert 0.0 < float(priors.white_light(warm)) < float(priors.white_light(warmer))


def test_lights_of_one_colour_cost_nothing_whatever_the_colour():
    one_colour = drawn(8, 1) * torch.tensor([1.0, 0.6, 0.3])
    assert float(priors.lamp_chroma(one_colour)) == pytest.approx(0.0, abs=1e-10)
    mixed = one_colour.clone()
    mixed[0] = mixed[0].flip(0)
    assert float(priors.lamp_chroma(mixed)) > 1e-4


def test_one_lamp_is_sparse_and_the_same_light_from_everywhere_is_not():
    one, all_around = torch.zeros(16, 3), torch.ones(16, 3)
    one[3] = 16.0
    assert float(priors.sparsity(all_around)) == pytest.approx(1.0, rel=1e-3)
    assert float(priors.sparsity(one)) < 0.1


def test_positive_radiance_costs_nothing_and_negative_does():
    radiance = 0.1 + drawn(32, 3)
    assert float(priors.negative_radiance(radiance)) == 0.0
    radiance[0] = -1.0
    assert float(priors.negative_radiance(radiance)) > 0.0


def test_constant_light_costs_nothing_and_higher_bands_cost_more():
    band = torch.tensor([0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    light = torch.zeros(9, 3)
    light[0] = 1.0
    assert float(priors.high_bands(light, band)) == 0.0
    first, second = light.clone(), light.clone()
    first[1], second[4] = 0.5, 0.5
    assert float(priors.high_bands(second, band)) == pytest.approx(16.0 * float(priors.high_bands(first, band)))


@pytest.mark.parametrize(
    "prior",
    [
        priors.white_light,
        priors.lamp_chroma,
        priors.sparsity,
        priors.negative_radiance,
        lambda light: priors.high_bands(light, torch.arange(3.0)),
    ],
)
def test_brightness_does_not_change_what_is_believed_of_light(prior: Callable[[Tensor], Tensor]):
    light = drawn(3) if prior is priors.white_light else drawn(3, 3) - 0.2
    if prior in (priors.lamp_chroma, priors.sparsity):
        light = light.clamp(min=0.0)
    assert float(prior(light)) > 0.0
    assert float(prior(7.0 * light)) == pytest.approx(float(prior(light)), rel=1e-3)


def test_an_even_texture_is_smooth_and_a_step_costs_its_height_and_length():
    assert float(priors.smoothness(torch.full((16, 16, 3), 0.3), SEEN)) == pytest.approx(0.0, abs=1e-9)
    step = torch.zeros(16, 16, 1)
    step[:, 8:] = 0.5
    # 16 of the 16 x 15 steps to the side.
    assert float(priors.smoothness(step, SEEN)) == pytest.approx(0.5 / 15.0, rel=1e-2)
    assert float(priors.smoothness(step.transpose(0, 1), SEEN)) == pytest.approx(0.5 / 15.0, rel=1e-2)


def test_a_symmetric_texture_costs_nothing_and_a_mole_does():
    texture = symmetric_texture()
    assert float(priors.symmetry(texture, SEEN)) == pytest.approx(0.0, abs=1e-9)
    texture[4, 3] -= 1.0
    assert float(priors.symmetry(texture, SEEN)) > 1e-3
    # Up and down are not alike.
    assert float(priors.symmetry(symmetric_texture().transpose(0, 1), SEEN)) > 1e-3


def test_symmetry_is_asked_only_where_both_sides_are_seen():
    one_side = SEEN.clone()
    one_side[:, 8:] = False
    assert float(priors.symmetry(drawn(16, 16, 3), one_side)) == 0.0


def test_fine_detail_is_not_coarse_and_a_shadow_is():
    checks = torch.zeros(16, 16, 1)
    checks[::2, ::2], checks[1::2, 1::2] = 0.5, 0.5
    checks -= checks.mean()
    shadow = torch.zeros(16, 16, 1)
    shadow[:8, :8] = -0.5
    assert float(priors.coarse(checks, SEEN)) == pytest.approx(0.0, abs=1e-10)
    assert float(priors.coarse(shadow, SEEN)) == pytest.approx(0.25 / 4.0)


def test_unseen_texels_do_not_count():
    seen = SEEN.clone()
    seen[:, :6] = False
    texture = symmetric_texture()
    changed = texture.clone()
    changed[:, :6] = 9.0
    for prior in (priors.smoothness, priors.symmetry, priors.coarse, priors.own_size):
        assert float(prior(changed, seen)) == float(prior(texture, seen))


def test_the_mean_of_what_is_seen_does_not_depend_on_how_much_that_is():
    some = SEEN.clone()
    some[:, :5] = False
    even = torch.full((16, 16, 3), 0.3)
    assert float(priors.coarse(even, some)) == pytest.approx(float(priors.coarse(even, SEEN)), rel=1e-4)


@pytest.mark.parametrize("seen", [SEEN, NOBODY])
@pytest.mark.parametrize("prior", [priors.smoothness, priors.symmetry, priors.coarse])
def test_slopes_at_an_empty_texture_are_finite(prior: Callable[[Tensor, Tensor], Tensor], seen: Tensor):
    texture = torch.zeros(16, 16, 3, requires_grad=True)
    value = prior(texture, seen)
    value.backward()
    assert float(value.detach()) == pytest.approx(0.0, abs=1e-9)
    assert texture.grad is not None
    assert texture.grad.isfinite().all()


@pytest.mark.parametrize(
    "prior",
    [
        priors.lamp_chroma,
        priors.sparsity,
        priors.negative_radiance,
        lambda light: priors.white_light(light.sum(0)),
        lambda light: priors.high_bands(light, torch.arange(4.0)),
    ],
)
@pytest.mark.parametrize("brightness", [0.0, 1.0])
def test_slopes_are_finite_in_the_dark_and_where_a_light_is_out(prior: Callable[[Tensor], Tensor], brightness: float):
    light = torch.full((4, 3), brightness)
    light[2] = 0.0
    light.requires_grad_()
    value = prior(light)
    value.backward()
    assert value.isfinite()
    assert light.grad is not None
    assert light.grad.isfinite().all()


def test_a_light_that_is_nearly_out_can_come_on_again():
    light = torch.ones(4, 3)
    light[2] = 1e-9
    light.requires_grad_()
    priors.sparsity(light).backward()
    assert light.grad is not None
    assert 0.0 < float(light.grad[2, 0]) < 100.0, "a wall that no photograph would get it over"


def test_a_texture_of_its_own_costs_more_the_more_colour_it_has():
    grey, coloured = torch.full((16, 16, 3), 0.3), torch.zeros(16, 16, 3)
    coloured[..., 0], coloured[..., 2] = 0.3, -0.3
    assert float(priors.own_size(torch.zeros(16, 16, 3), SEEN)) == 0.0
    assert float(priors.own_size(grey, SEEN)) == pytest.approx(0.09)
    assert float(priors.own_size(coloured, SEEN)) > 5.0 * float(priors.own_size(grey, SEEN))
    assert float(priors.own_size(grey[..., :1], SEEN)) == pytest.approx(0.09)
    assert float(priors.own_size(2.0 * grey, SEEN)) == pytest.approx(4.0 * 0.09)


def test_unmoved_albedo_costs_nothing_and_what_changes_hidden_skin_costs_more():
    basis = torch.zeros(2, 10, 3)
    basis[0, :1], basis[1, :] = 0.05, 0.05
    none, few, all_of_it = torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert float(priors.moved_albedo(basis, none)) == 0.0
    assert 0.0 < float(priors.moved_albedo(basis, few)) < float(priors.moved_albedo(basis, all_of_it))
