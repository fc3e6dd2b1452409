import pytest
import torch

from model.losses.batch_distribution import batch_distribution


def people(count: int, spread: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return shift + spread * torch.randn(count, 12, generator=generator, dtype=torch.float64)


def test_many_people_as_the_model_promises_them_are_best() -> None:
    best = batch_distribution(people(4000))
    assert best < 0.01
    for other in (people(4000, 0.3), people(4000, 2.0), people(4000, shift=0.5)):
        assert batch_distribution(other) > 20 * best


def test_one_mean_face_for_all_costs_one() -> None:
    torch.testing.assert_close(batch_distribution(torch.zeros(8, 5)), torch.tensor(1.0))


@pytest.mark.slow
def test_the_variance_is_unbiased() -> None:
    small = torch.stack([batch_distribution(people(4096).view(1024, 4, 12)[i]) for i in range(200)])
    # Of means of 4 with variance 1 / 4, and of variances of 4 with variance 2 / 3.
    assert small.mean().item() == pytest.approx(0.25 + 2.0 / 3.0, rel=0.15)


def test_a_single_face_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more"):
        batch_distribution(people(1))


def test_gradients() -> None:
    assert torch.autograd.gradcheck(batch_distribution, (people(5)[:, :3].clone().requires_grad_(),))
