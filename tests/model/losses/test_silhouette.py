import pytest
import torch

from model.geometry.camera import project
from model.losses.silhouette import silhouette
from model.render.backends import build_rasterizer
from tests.small_world import crop_camera, toy_head

SIZE = 48


def disk(centre: float = 24.0, radius: float = 10.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    axis = torch.arange(SIZE, dtype=dtype) + 0.5
    away = ((axis[None, :] - centre) ** 2 + (axis[:, None] - 24.0) ** 2).sqrt()
    return (radius + 0.5 - away).clamp(0.0, 1.0)[None]


def test_a_head_that_covers_the_skin_is_free_and_so_is_one_that_covers_more() -> None:
    assert silhouette(disk(), disk()) < 0.04
    assert silhouette(disk(radius=20.0), disk()) == 0.0


def test_bare_skin_costs_its_part() -> None:
    assert silhouette(disk(28.0), disk()) > 0.1
    assert silhouette(disk(32.0), disk()) > silhouette(disk(28.0), disk())
    assert silhouette(0.0 * disk(), disk()) == 1.0


def test_photographs_without_weight_or_skin_do_not_count() -> None:
    coverage = torch.cat((disk(28.0), 0.0 * disk(), 0.0 * disk()))
    skin = torch.cat((disk(), disk(), 0.0 * disk()))
    first = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(silhouette(coverage, skin, first), silhouette(disk(28.0), disk()))
    assert silhouette(coverage, skin, 0.0 * first) == 0.0


def test_gradients() -> None:
    coverage = torch.full((2, 5, 5), 0.4, dtype=torch.float64, requires_grad=True)
    skin = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: silhouette(c, skin), (coverage,))


@pytest.mark.slow
def test_through_the_renderer_it_moves_the_head_over_the_skin() -> None:
    head = toy_head()
    vertices_mm, faces = torch.from_numpy(head.vertices_mm)[None], torch.from_numpy(head.faces)
    rasterizer, camera = build_rasterizer("cpu"), crop_camera(1, SIZE)

    def coverage(translation_mm: torch.Tensor) -> torch.Tensor:
        points = project(vertices_mm + translation_mm, camera)
        fragments = rasterizer.rasterize(points, faces, SIZE, SIZE)
        layer = (fragments.face_index >= 0).float()[..., None]
        return rasterizer.antialias(layer, fragments, points, faces)[..., 0]

    target_mm = torch.tensor([0.0, 0.0, -1200.0])
    skin = coverage(target_mm).detach()
    moved_mm = torch.tensor([40.0, -25.0, -1200.0], requires_grad=True)
    before = silhouette(coverage(moved_mm), skin)
    optimizer = torch.optim.Adam([moved_mm], lr=2.0)
    for _ in range(40):
        optimizer.zero_grad()
        silhouette(coverage(moved_mm), skin).backward()
        assert moved_mm.grad is not None
        moved_mm.grad[2] = 0.0
        optimizer.step()
    assert silhouette(coverage(moved_mm), skin) < 0.1 * before
    torch.testing.assert_close(moved_mm.detach()[:2], target_mm[:2], atol=6.0, rtol=0.0)
