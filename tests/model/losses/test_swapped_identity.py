import pytest
import torch

from model.losses.swapped_identity import next_of_person, swap_within_person

PERSON = torch.tensor([4, -1, 7, 4, 9, 4, 7, -1])


def test_each_photograph_gets_the_identity_of_another_of_its_person() -> None:
    identity = torch.arange(8.0)[:, None].repeat(1, 3)
    swapped, changed = swap_within_person(identity, PERSON)
    assert swapped[:, 0].tolist() == [3.0, 1.0, 6.0, 5.0, 4.0, 0.0, 2.0, 7.0]
    assert changed.tolist() == [True, False, True, True, False, True, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_a_permutation_that_stays_within_each_person_and_moves_all_that_can(seed: int) -> None:
    person = torch.randint(-1, 6, (20,), generator=torch.Generator().manual_seed(seed))
    source, changed = next_of_person(person)
    assert sorted(source.tolist()) == list(range(20))
    assert torch.equal(person[source], person)
    counts = torch.tensor([int((person == p).sum()) if p >= 0 else 1 for p in person])
    assert torch.equal(changed, counts > 1)
    assert torch.equal(changed, source != torch.arange(20))


def test_a_single_sample_stays() -> None:
    swapped, changed = swap_within_person(torch.ones(1, 2), torch.tensor([3]))
    assert torch.equal(swapped, torch.ones(1, 2))
    assert not changed.any()


def test_the_gradient_goes_to_the_photograph_the_identity_came_from() -> None:
    identity = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    swapped, _ = swap_within_person(identity, PERSON)
    swapped[0].sum().backward()
    assert identity.grad is not None
    assert identity.grad.any(1).tolist() == [False, False, False, True, False, False, False, False]
    assert torch.autograd.gradcheck(lambda i: swap_within_person(i, PERSON)[0].square(), (identity,))
