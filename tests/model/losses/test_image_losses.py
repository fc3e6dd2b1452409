import pytest
import torch
from torch import Tensor

from model.losses.photometric import halve, photometric, residual_srgb
from model.render.color import linear_to_srgb, srgb_to_linear

COLOR, GREY = torch.tensor([True]), torch.tensor([False])
MASK = torch.ones(1, 12, 12)


def photograph(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.2 + 0.6 * image).to(dtype)


def as_rendering(image_srgb: Tensor) -> Tensor:
    return srgb_to_linear(image_srgb).permute(0, 2, 3, 1)


def test_the_photograph_itself_is_the_best_rendering() -> None:
    best = photometric(as_rendering(photograph()), photograph(), MASK, COLOR)
    assert best < 0.002
    for other in (photograph(1), photograph() + 0.05, photograph() - 0.1):
        assert photometric(as_rendering(other), photograph(), MASK, COLOR) > 10 * best


def test_only_the_mask_counts() -> None:
    wrong = photograph()
    wrong[..., :6] = 0.9
    mask = MASK.clone()
    mask[..., :6] = 0.0
    assert photometric(as_rendering(wrong), photograph(), mask, COLOR) < 0.002
    assert photometric(as_rendering(wrong), photograph(), 0.0 * MASK, COLOR) == 0.0


def test_an_occluder_pulls_less_than_skin_that_is_a_little_wrong() -> None:
    """The gradient on a few pixels of dark glasses is smaller than that on as many pixels of slightly wrong skin."""
    rendered = as_rendering(photograph()).requires_grad_()
    target = photograph()
    target[..., 0, :] = 0.0
    target[..., 1, :] += 0.08
    photometric(rendered, target, MASK, COLOR).backward()
    assert rendered.grad is not None
    pull = rendered.grad.abs().sum((0, 2, 3))
    # In linear light a unit of sRGB weighs more where it is dark; both rows come from the same distribution.
    assert pull[0] < 0.5 * pull[1]


def test_a_grey_photograph_says_nothing_about_hue() -> None:
    grey = photograph()[:, :1].expand(1, 3, 12, 12)
    luminance = srgb_to_linear(grey).permute(0, 2, 3, 1)
    # Other hues of the same luminance.
    tinted = luminance * torch.tensor([1.3, 1.0, 0.0])
    tinted = tinted * (luminance[..., :1] / (tinted * torch.tensor([0.2126, 0.7152, 0.0722])).sum(-1, keepdim=True))
    assert residual_srgb(tinted, grey, GREY).max() < 0.01
    assert residual_srgb(tinted, grey, COLOR).mean() > 0.1


def test_a_grey_difference_counts_alike_in_grey_and_in_colour() -> None:
    target = torch.full((1, 3, 4, 4), 0.5)
    rendered = srgb_to_linear(torch.full((1, 4, 4, 3), 0.6))
    torch.testing.assert_close(
        residual_srgb(rendered, target, COLOR), residual_srgb(rendered, target, GREY), atol=1e-4, rtol=0.0
    )
    torch.testing.assert_close(linear_to_srgb(rendered), torch.full((1, 4, 4, 3), 0.6))


def test_samples_of_a_batch_are_told_apart_by_their_own_colour() -> None:
    target = photograph().repeat(2, 1, 1, 1)
    rendered = as_rendering(photograph(1)).repeat(2, 1, 1, 1)
    both = residual_srgb(rendered, target, torch.tensor([True, False]))
    torch.testing.assert_close(both[:1], residual_srgb(rendered[:1], target[:1], COLOR))
    torch.testing.assert_close(both[1:], residual_srgb(rendered[:1], target[:1], GREY))


def test_residual_gradient() -> None:
    target = photograph(0, torch.float64)[..., :3, :3]
    rendered = as_rendering(photograph(1, torch.float64))[:, :3, :3].requires_grad_()
    for color in (COLOR, GREY):
        assert torch.autograd.gradcheck(lambda image, c=color: residual_srgb(image, target, c), (rendered,))


@pytest.mark.slow
def test_the_gradient_of_the_photometric_loss_leads_to_the_photograph() -> None:
    rendered = as_rendering(photograph(1)).requires_grad_()
    optimizer = torch.optim.Adam([rendered], lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        photometric(rendered, photograph(), MASK, COLOR).backward()
        optimizer.step()
    assert residual_srgb(rendered.detach(), photograph(), COLOR).mean() < 0.02


def test_a_rendering_below_zero_has_a_finite_gradient() -> None:
    rendered = torch.full((1, 12, 12, 3), -0.1, requires_grad=True)
    photometric(rendered, photograph(), MASK, COLOR).backward()
    assert rendered.grad is not None
    assert torch.isfinite(rendered.grad).all()


def test_a_pyramid_of_one_level_is_the_plain_loss_and_more_levels_average() -> None:
    rendered, target = as_rendering(photograph(1)), photograph()
    plain = photometric(rendered, target, MASK, COLOR)
    torch.testing.assert_close(photometric(rendered, target, MASK, COLOR, levels=1), plain)
    half_rendered, half_target, half_mask = halve(rendered, as_rendering(target), MASK)
    half = photometric(half_rendered, linear_to_srgb(half_target).permute(0, 3, 1, 2), half_mask, COLOR)
    both = photometric(rendered, target, MASK, COLOR, levels=2)
    torch.testing.assert_close(both, 0.5 * (plain + half), atol=1e-5, rtol=1e-4)


def test_halving_lets_nothing_from_outside_the_mask_in() -> None:
    image = as_rendering(photograph())
    mask = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0)).round()
    dirty = torch.where(mask[..., None] > 0, image, 100.0 * torch.ones_like(image))
    clean_half, _, half_mask = halve(image, image, mask)
    dirty_half, _, _ = halve(dirty, image, mask)
    torch.testing.assert_close(dirty_half, clean_half)
    torch.testing.assert_close(half_mask, torch.nn.functional.avg_pool2d(mask, 2))
    inside = halve(torch.full_like(image, 0.5), image, mask)[0][half_mask > 0]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5))


def test_coarse_levels_pull_over_a_longer_way() -> None:
    """A bright bar on dark skin, drawn too far aside to touch itself: only a coarse level sees which way to go."""

    def bar(centre: Tensor, reach_px: float = 1.5) -> Tensor:
        x = torch.arange(32.0) + 0.5
        bright = 0.2 + 0.4 * torch.sigmoid((reach_px - (x - centre).abs()) / 0.2)
        return bright[None, None, :, None].expand(1, 32, 32, 3)

    target = linear_to_srgb(bar(torch.tensor(11.5))).permute(0, 3, 1, 2)
    mask = torch.ones(1, 32, 32)

    def pull(levels: int) -> float:
        centre = torch.tensor(16.5, requires_grad=True)
        photometric(bar(centre), target, mask, COLOR, levels).backward()
        assert centre.grad is not None
        return centre.grad.item()

    assert pull(4) > 1e-3
    assert abs(pull(1)) < 0.2 * pull(4)


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pyramid levels of a picture of \\(12, 12\\)"):
        photometric(as_rendering(photograph()), photograph(), MASK, COLOR, levels=3)


def test_every_photograph_counts_alike_however_much_of_it_is_skin() -> None:
    target = photograph().repeat(2, 1, 1, 1)
    rendered = as_rendering(torch.cat((photograph(1), photograph())))
    mask = MASK.repeat(2, 1, 1)
    mask[0, :, 4:] = 0.0
    alone = photometric(rendered[:1], target[:1], mask[:1], COLOR)
    best = photometric(rendered[1:], target[1:], mask[1:], COLOR)
    both = photometric(rendered, target, mask, COLOR.repeat(2))
    torch.testing.assert_close(both, 0.5 * (alone + best))
    # One that shows no skin is no photograph.
    mask[1] = 0.0
    torch.testing.assert_close(photometric(rendered, target, mask, COLOR.repeat(2)), alone)


def test_it_does_not_depend_on_the_resolution() -> None:
    small, target = as_rendering(photograph(1)), photograph()
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    large_target = target.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = photometric(small, target, MASK, COLOR)
    torch.testing.assert_close(photometric(large, large_target, torch.ones(1, 24, 24), COLOR), expected)


@pytest.mark.slow
def test_photometric_gradients_with_the_weights_held() -> None:
    """The weights carry no gradient, so the finite difference is taken of a tiny residual, where they stay 1."""
    target = photograph(0, torch.float64)[..., :8, :8]
    rendered = (as_rendering(photograph(0, torch.float64))[:, :8, :8] + 1e-4).requires_grad_()
    mask = torch.ones(1, 8, 8, dtype=torch.float64)
    for color in (COLOR, GREY):
        assert torch.autograd.gradcheck(
            lambda image, c=color: photometric(image, target, mask, c, levels=2),
            (rendered,), eps=1e-7, atol=1e-5, rtol=2e-2,
        )  # fmt: skip
