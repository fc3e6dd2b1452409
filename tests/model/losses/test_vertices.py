import pytest
import torch

from model.losses.vertices import vertex_distance

WEIGHT = torch.tensor([1.0, 1.0, 0.2, 0.0], dtype=torch.float64)


def error(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_mean_distance_in_mm_over_the_weighted_vertices() -> None:
    wrong = torch.zeros(2, 4, 3, dtype=torch.float64)
    wrong[..., 0], wrong[..., 1] = 3.0, 4.0
    wrong[:, 3] = 100.0
    assert vertex_distance(wrong, WEIGHT).item() == pytest.approx(5.0, rel=1e-4)
    assert vertex_distance(0.0 * wrong, WEIGHT).item() == pytest.approx(0.01)


def test_it_grows_in_proportion_and_with_the_weight_of_the_vertex() -> None:
    assert vertex_distance(2.0 * error(), WEIGHT).item() == pytest.approx(
        2.0 * vertex_distance(error(), WEIGHT).item(), rel=1e-3
    )
    one, other = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    one[:, 0], other[:, 2] = 2.0, 2.0
    assert vertex_distance(one, WEIGHT.float()) > 3.0 * vertex_distance(other, WEIGHT.float())


def test_gradients() -> None:
    assert torch.autograd.gradcheck(lambda e: vertex_distance(e, WEIGHT), (error().requires_grad_(),))
