import pytest
import torch
from torch import Tensor

from model.losses.likelihood import gaussian_likelihood


def errors(sigma_mm: float = 2.0, count: int = 400) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return sigma_mm * torch.randn(3, count, 3, generator=generator, dtype=torch.float64)


def constant(sigma_mm: float, count: int = 400) -> Tensor:
    return torch.full((3, count), sigma_mm, dtype=torch.float64)


@pytest.mark.parametrize("true_mm", [0.5, 2.0])
def test_the_best_sigma_is_the_root_mean_square_of_the_error(true_mm: float) -> None:
    error_mm = errors(true_mm)
    rms_mm = error_mm.square().mean().sqrt()
    log_sigma = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_sigma], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = gaussian_likelihood(error_mm, log_sigma.exp().expand(3, 400))
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(log_sigma.detach().exp()[0], rms_mm, rtol=1e-4, atol=0.0)


def test_each_vertex_has_its_own_best_sigma() -> None:
    error_mm = errors(1.0)
    error_mm[:, :200] *= 5.0
    own = torch.cat((constant(5.0, 200), constant(1.0, 200)), dim=1)
    assert gaussian_likelihood(error_mm, own) < gaussian_likelihood(error_mm, constant(3.6))
    assert gaussian_likelihood(error_mm, own) < gaussian_likelihood(error_mm, own.flip(1))


def test_smaller_errors_are_preferred() -> None:
    assert gaussian_likelihood(0.5 * errors(), constant(2.0)) < gaussian_likelihood(errors(), constant(2.0))


def test_what_has_no_weight_is_ignored_even_if_it_is_not_finite() -> None:
    error_mm, sigma_mm = errors(), constant(2.0)
    vertices, samples = torch.ones(400, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    expected = gaussian_likelihood(error_mm[:2, 10:], sigma_mm[:2, 10:])
    vertices[:10], samples[2] = 0.0, 0.0
    error_mm[:, :10], error_mm[2] = torch.inf, torch.inf
    torch.testing.assert_close(gaussian_likelihood(error_mm, sigma_mm, vertices, samples), expected)
    assert gaussian_likelihood(error_mm, sigma_mm, None, 0.0 * samples) == 0.0


def test_only_ratios_of_weights_matter() -> None:
    error_mm = errors()
    vertices = torch.rand(400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    once = gaussian_likelihood(error_mm, constant(1.0), vertices)
    torch.testing.assert_close(gaussian_likelihood(error_mm, constant(1.0), 7.0 * vertices), once)


@pytest.mark.parametrize("sigma_mm", [0.0, 1e-20, 1e20])
def test_extreme_sigmas_have_a_finite_loss_and_gradient(sigma_mm: float) -> None:
    sigma = torch.full((1, 2), sigma_mm, requires_grad=True)
    error_mm = torch.full((1, 2, 3), 100.0, requires_grad=True)
    loss = gaussian_likelihood(error_mm, sigma)
    loss.backward()
    assert torch.isfinite(loss)
    assert sigma.grad is not None
    assert error_mm.grad is not None
    assert torch.isfinite(sigma.grad).all()
    assert torch.isfinite(error_mm.grad).all()


def test_gradients() -> None:
    error_mm = errors(count=4).requires_grad_()
    sigma_mm = (1.0 + constant(1.0, 4)).requires_grad_()
    assert torch.autograd.gradcheck(gaussian_likelihood, (error_mm, sigma_mm))
