import pytest
import torch
from torch import Tensor

from model.losses.symmetry import mirror_difference
from tests.small_world import toy_head

# Three pairs: both sides seen, left seen only, none seen; and one on the mid-line.
MIRROR = torch.tensor([1, 0, 3, 2, 5, 4, 6])
SEEN = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)


def values(seed: int = 0) -> Tensor:
    return torch.randn(1, 7, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pull(seen: Tensor, *, vectors: bool = False) -> Tensor:
    moving = values().requires_grad_()
    mirror_difference(moving, MIRROR, seen, vectors=vectors).backward()
    assert moving.grad is not None
    return moving.grad.abs().sum(-1)[0]


def test_the_hidden_side_follows_and_the_side_that_is_seen_stays() -> None:
    pulls = pull(SEEN)
    assert pulls[2] == 0.0
    assert pulls[3] > 0.0
    # Seen on both sides: softly, and alike.
    assert 0.0 < pulls[0] < 0.2 * pulls[3]
    torch.testing.assert_close(pulls[0], pulls[1])
    # Hidden on both sides: as strongly as one that follows.
    torch.testing.assert_close(pulls[4], pulls[3])


@pytest.mark.slow
def test_descending_gives_the_hidden_side_what_the_other_shows() -> None:
    moving = values().requires_grad_()
    optimizer = torch.optim.SGD([moving], lr=0.05)
    for _ in range(3000):
        optimizer.zero_grad()
        mirror_difference(moving, MIRROR, SEEN).backward()
        optimizer.step()
    torch.testing.assert_close(moving[0, 2].detach(), values()[0, 2])
    torch.testing.assert_close(moving[0, 3].detach(), values()[0, 2], atol=0.01, rtol=0.0)


def test_vectors_mirror_their_x() -> None:
    head = toy_head()
    mirror = torch.from_numpy(head.mirror).long()
    vertices_mm = torch.from_numpy(head.vertices_mm)[None]
    assert mirror_difference(vertices_mm, mirror, vectors=True) < 1e-5
    assert mirror_difference(vertices_mm, mirror) > 10.0
    seen = torch.rand(1, len(mirror), generator=torch.Generator().manual_seed(0))
    assert mirror_difference(vertices_mm, mirror, seen, vectors=True) < 1e-5


def test_on_the_mid_line_vectors_have_no_x() -> None:
    moving = values().requires_grad_()
    mirror_difference(moving, MIRROR, SEEN, vectors=True).backward()
    assert moving.grad is not None
    assert moving.grad[0, 6, 0] != 0.0
    assert torch.equal(moving.grad[0, 6, 1:], torch.zeros(2, dtype=torch.float64))


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="these values 2"):
        mirror_difference(values()[..., :2], MIRROR, vectors=True)


def test_gradients_where_the_other_side_is_fixed() -> None:
    """With visibility each side's mirror is held: the gradient is that of its own difference."""
    fixed = values()[:, MIRROR] * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)

    def own(moving: Tensor) -> Tensor:
        weight = (1.0 - SEEN) + 0.1 * SEEN * SEEN[:, MIRROR]
        return (weight[..., None] * (moving - fixed).abs()).mean()

    one, other = values().requires_grad_(), values().requires_grad_()
    mirror_difference(one, MIRROR, SEEN, vectors=True).backward()
    own(other).backward()
    assert torch.autograd.gradcheck(own, (values(1).requires_grad_(),))
    assert one.grad is not None
    # On the mid-line its mirror is the vertex itself, also held.
    torch.testing.assert_close(one.grad, other.grad)
