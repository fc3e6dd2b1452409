import pytest
import torch

from model.geometry.procrustes import align_similarity
from model.geometry.rotation import rotation_from_euler


def cloud(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([3.0, 2.0, 0.3])


def test_a_similarity_is_undone() -> None:
    points = cloud()
    rotation = rotation_from_euler(torch.tensor([[0.4, -0.2, 1.1], [-2.0, 0.3, 0.1]]))
    moved = 1.7 * points @ rotation.transpose(1, 2) + torch.tensor([5.0, -3.0, 9.0])
    torch.testing.assert_close(align_similarity(moved, points, torch.ones(30)), points, atol=1e-4, rtol=1e-4)


def test_a_mirror_image_is_not_turned_into_its_original() -> None:
    points = cloud()
    aligned = align_similarity(points * torch.tensor([-1.0, 1.0, 1.0]), points, torch.ones(30))
    assert (aligned - points).norm(dim=-1).mean() > 0.1


def test_points_without_weight_are_carried_but_not_asked() -> None:
    points, weight = cloud(), torch.ones(30)
    weight[20:] = 0.0
    spoiled = points.clone()
    spoiled[:, 20:] += 40.0
    aligned = align_similarity(spoiled, points, weight)
    torch.testing.assert_close(aligned[:, :20], points[:, :20], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(aligned[:, 20:], spoiled[:, 20:], atol=1e-3, rtol=1e-3)


def test_the_gradient_is_that_of_the_points_carried() -> None:
    points, target = cloud(0).double().requires_grad_(), cloud(1).double()
    align_similarity(points, target, torch.ones(30, dtype=torch.float64))[0, 0, 0].backward()
    assert points.grad is not None
    assert points.grad[0].abs().sum() > 0
    assert not points.grad[1].any()


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="three points"):
        align_similarity(cloud(), cloud(1), torch.zeros(30))
