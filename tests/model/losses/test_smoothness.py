import torch

from model.geometry.mesh import uniform_laplacian
from model.losses.smoothness import laplacian_smoothness
from tests.small_world import toy_head


def laplacian() -> torch.Tensor:
    head = toy_head()
    return uniform_laplacian(torch.from_numpy(head.faces), len(head.vertices_mm))


def noise(batch: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    shape = (batch, len(toy_head().vertices_mm), 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_a_shift_of_all_is_free_and_smoother_values_are_preferred() -> None:
    assert laplacian_smoothness(torch.full_like(noise(), 3.0), laplacian()) < 1e-9
    rough = noise()
    smooth = rough + 0.5 * torch.stack([laplacian() @ face for face in rough])
    assert laplacian_smoothness(smooth, laplacian()) < 0.5 * laplacian_smoothness(rough, laplacian())


def test_it_is_the_mean_over_vertices_and_samples() -> None:
    expected = torch.stack([(laplacian() @ face).square().sum(-1).mean() for face in noise()]).mean()
    torch.testing.assert_close(laplacian_smoothness(noise(), laplacian()), expected)
    torch.testing.assert_close(laplacian_smoothness(noise().repeat(3, 1, 1), laplacian()), expected)


def test_half_precision_is_computed_in_full() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = laplacian_smoothness(noise(), laplacian())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, laplacian_smoothness(noise(), laplacian()))


def test_gradients() -> None:
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    values = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = uniform_laplacian(faces, 4)
    assert torch.autograd.gradcheck(lambda v: laplacian_smoothness(v, small), (values.requires_grad_(),))
