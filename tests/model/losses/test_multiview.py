import pytest
import torch
from torch import Tensor

from model.losses.multiview import multiview_difference, observed_albedo

TWO, NOBODY = torch.tensor([3, 3]), torch.tensor([-1, -1])
COLOR, GREY = torch.tensor([True, True]), torch.tensor([True, False])


def skin(seed: int = 0) -> Tensor:
    return 0.3 + 0.3 * torch.rand(1, 50, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def both(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat((first, second))


def seen() -> Tensor:
    """The first shows vertices 0-34, the second 15-49."""
    shown = torch.zeros(2, 50, dtype=torch.float64)
    shown[0, :35], shown[1, 15:] = 1.0, 1.0
    return shown


def test_the_same_skin_is_best() -> None:
    best = multiview_difference(both(skin(), skin()), seen(), TWO, COLOR)
    assert best < 0.002
    darker = multiview_difference(both(skin(), 0.9 * skin()), seen(), TWO, COLOR)
    other = multiview_difference(both(skin(), 0.8 * skin()), seen(), TWO, COLOR)
    assert 10 * best < darker < other


def test_only_what_both_see_counts() -> None:
    strange = skin().clone()
    strange[:, :15], strange[:, 35:] = 0.0, 0.0
    assert multiview_difference(both(skin(), strange), seen(), TWO, COLOR) < 0.002
    strange[:, 20:25] += 0.2
    assert multiview_difference(both(skin(), strange), seen(), TWO, COLOR) > 0.002


def test_only_photographs_of_one_person_are_compared() -> None:
    wrong = both(skin(), 0.5 * skin())
    assert multiview_difference(wrong, seen(), TWO, COLOR) > 0.05
    assert multiview_difference(wrong, seen(), torch.tensor([3, 4]), COLOR) == 0.0
    assert multiview_difference(wrong, seen(), NOBODY, COLOR) == 0.0
    # Others in the batch do not thin it out.
    four, shown = both(wrong, skin(1).repeat(2, 1, 1)), seen().repeat(2, 1)
    among = multiview_difference(four, shown, torch.tensor([3, 3, 5, -1]), COLOR.repeat(2))
    torch.testing.assert_close(among, multiview_difference(wrong, seen(), TWO, COLOR))


def test_pairs_that_see_nothing_in_common_do_not_count() -> None:
    apart = torch.zeros(2, 50, dtype=torch.float64)
    apart[0, :25], apart[1, 25:] = 1.0, 1.0
    assert multiview_difference(both(skin(), 0.5 * skin()), apart, TWO, COLOR) == 0.0


def test_a_grey_photograph_is_compared_in_luminance() -> None:
    luminance = (skin() * torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)).sum(-1, keepdim=True)
    grey = luminance.expand_as(skin())
    assert multiview_difference(both(skin(), grey), seen(), TWO, GREY) < 0.002
    assert multiview_difference(both(skin(), grey), seen(), TWO, COLOR) > 0.02


def test_skin_that_is_off_as_a_whole_is_no_occluder() -> None:
    assert multiview_difference(both(skin(), 0.3 * skin()), seen(), TWO, COLOR) > 0.15


def test_an_occluder_pulls_less_than_skin_that_is_a_little_off() -> None:
    off = skin().clone()
    off[:, 20], off[:, 30] = off[:, 20] + 0.05, 0.0
    moving = both(skin(), off).requires_grad_()
    multiview_difference(moving, seen(), TWO, COLOR).backward()
    assert moving.grad is not None
    pull = moving.grad[0].abs().sum(-1)
    assert pull[30] < 0.5 * pull[20]


def test_light_is_divided_out_of_what_the_photograph_shows() -> None:
    photograph = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    vertices_image = torch.tensor([[[2.5, 3.5, 800.0], [6.5, 1.5, 800.0]]], dtype=torch.float64)
    shading = torch.tensor([[[0.5, 0.6, 0.7], [1.5, 1.0, 2.0]]], dtype=torch.float64)
    expected = torch.stack((photograph[0, :, 3, 2], photograph[0, :, 1, 6]))[None] / shading
    torch.testing.assert_close(observed_albedo(photograph, vertices_image, shading), expected)
    for dark in (0.0, -1.0):
        albedo = observed_albedo(photograph, vertices_image, torch.full_like(shading, dark))
        assert torch.isfinite(albedo).all()
        assert (albedo >= 0.0).all()


def test_gradients() -> None:
    photograph = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.tensor([[[2.2, 3.3, 800.0], [4.1, 1.2, 800.0]]], dtype=torch.float64, requires_grad=True)
    shading = (0.5 + torch.rand(1, 2, 3, dtype=torch.float64)).requires_grad_()
    gradcheck = torch.autograd.gradcheck
    assert gradcheck(lambda p, s: observed_albedo(photograph, p, s), (points, shading))


@pytest.mark.slow
def test_descending_brings_the_two_together() -> None:
    moving = both(skin(), 0.7 * skin()).requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=0.01)
    before = multiview_difference(moving, seen(), TWO, COLOR).item()
    for _ in range(100):
        optimizer.zero_grad()
        multiview_difference(moving, seen(), TWO, COLOR).backward()
        optimizer.step()
    assert multiview_difference(moving, seen(), TWO, COLOR).item() < 0.15 * before
