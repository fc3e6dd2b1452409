import torch

from model.losses.detail import albedo_residual_prior, offset_prior

SEEN = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)


def values() -> torch.Tensor:
    return torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_no_offset_is_free_and_twice_the_offset_costs_four_times() -> None:
    assert offset_prior(0.0 * values()) == 0.0
    torch.testing.assert_close(offset_prior(2.0 * values()), 4.0 * offset_prior(values()))
    one_mm = torch.zeros(3, 10, 3)
    one_mm[..., 2] = 1.0
    assert offset_prior(one_mm) == 1.0


def test_a_residual_costs_more_where_the_photograph_does_not_show_the_vertex() -> None:
    seen, hidden = torch.zeros(1, 4, 3, dtype=torch.float64), torch.zeros(1, 4, 3, dtype=torch.float64)
    seen[:, 0], hidden[:, 3] = 0.1, 0.1
    assert 0.0 < albedo_residual_prior(seen, SEEN) < 0.3 * albedo_residual_prior(hidden, SEEN)


def test_visibility_gets_no_gradient() -> None:
    seen = SEEN.clone().requires_grad_()
    moving = values().requires_grad_()
    albedo_residual_prior(moving, seen).backward()
    assert seen.grad is None
    assert moving.grad is not None


def test_gradients() -> None:
    moving = values().requires_grad_()
    assert torch.autograd.gradcheck(offset_prior, (moving,))
    assert torch.autograd.gradcheck(lambda v: albedo_residual_prior(v, SEEN), (moving,))
