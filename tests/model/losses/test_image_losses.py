import torch
from torch import Tensor

from model.losses.photometric import photometric, residual_srgb
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
