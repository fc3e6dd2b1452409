"""What the PyTorch rasterizer has of its own; its behaviour is tested with the CPU rasterizer's in the other files."""

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.paths import DEFAULT_HEAD
from model.face.assets import load_head
from model.geometry.camera import default_intrinsics, project
from model.geometry.rotation import rotation_from_euler
from model.render.cpu.rasterizer import CpuRasterizer
from model.render.pytorch import zbuffer
from model.render.pytorch.rasterizer import TorchRasterizer
from model.render.rasterizer import Rasterizer
from tests.model.render.render_scenes import random_triangles, square, turned_sphere

HEIGHT, WIDTH = 49, 40


def head_in_image() -> tuple[Float[Tensor, "2 vertex 3"], Int[Tensor, "face 3"], Float[Tensor, "2 vertex 3"]]:
    """The released head from two sides, its triangles smaller than pixels, and its colours."""
    head = load_head(DEFAULT_HEAD)
    rotation = rotation_from_euler(torch.tensor([[0.1, 0.0, 0.0], [-0.9, 0.2, 0.1]]))
    vertices_mm, albedo_linear = (torch.from_numpy(array).float() for array in (head.vertices_mm, head.albedo_mean))
    camera = vertices_mm @ rotation.mT + torch.tensor([0.0, 0.0, -900.0])
    intrinsics_px = default_intrinsics(HEIGHT, WIDTH).expand(2, -1, -1)
    return project(camera, intrinsics_px), torch.from_numpy(head.faces), albedo_linear.expand(2, -1, -1)


def draw(
    rasterizer: Rasterizer, vertices: Tensor, colors: Tensor, faces: Tensor, height: int, width: int
) -> list[Tensor]:
    """Triangles, picture, depth, and gradients of a loss of both."""
    vertices, colors = vertices.clone().requires_grad_(), colors.clone().requires_grad_()
    fragments = rasterizer.rasterize(vertices, faces, height, width)
    covered = (fragments.face_index >= 0)[..., None].to(colors.dtype)
    seen = rasterizer.interpolate(colors, fragments, faces)
    picture = rasterizer.antialias(torch.cat((seen, covered), dim=-1), fragments, vertices, faces)
    target = torch.linspace(0.0, 1.0, width)[:, None]
    (((picture - target) ** 2).sum() + (0.01 * fragments.depth_mm * target[:, 0]).sum()).backward()
    assert vertices.grad is not None
    assert colors.grad is not None
    return [fragments.face_index, picture.detach(), fragments.depth_mm.detach(), vertices.grad, colors.grad]


def test_draws_the_head_as_the_cpu_rasterizer_does() -> None:
    vertices, faces, colors = head_in_image()
    ours = draw(TorchRasterizer(), vertices, colors, faces, HEIGHT, WIDTH)
    face_index, picture, depth_mm, *gradients = draw(CpuRasterizer(), vertices, colors, faces, HEIGHT, WIDTH)
    assert ((face_index >= 0).float().mean((1, 2)) > 0.2).all()
    assert torch.equal(ours[0], face_index)
    torch.testing.assert_close(ours[1], picture, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(ours[2], depth_mm, atol=1e-3, rtol=0.0)
    for mine, expected in zip(ours[3:], gradients, strict=True):
        assert (mine - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("subdivisions", [1, 2, 3, 4])
def test_contours_of_small_and_large_triangles(subdivisions: int) -> None:
    """Balls in front of each other, in double precision: all of the CPU rasterizer's gradients, to rounding."""
    vertices, faces = turned_sphere(subdivisions)
    scale = torch.tensor([4.3, -3.9, -80.0], dtype=torch.float64)
    places = torch.tensor([[6.21, 5.87, 400.0], [10.4, 8.3, 700.0]], dtype=torch.float64)
    image_space = torch.cat([vertices * scale + place for place in places])[None]
    _compare(image_space, torch.cat((faces, faces + len(vertices))))


@pytest.mark.parametrize("edge_x", [2.6, 3.0, 3.4999, 3.5001, 4.3])
def test_contours_of_an_edge(edge_x: float) -> None:
    """Also one exactly half way between two pixels, whose weight is zero and whose gradient is not."""
    _compare(*square(edge_x - 40.0, -10.0, 40.0, 500.0))


def test_contours_of_scattered_triangles_and_of_one_pixel() -> None:
    _compare(*random_triangles(12, 16, seed=6, batch=2))
    # A square far smaller than its pixel: four blends whose sum exceeds 1.
    _compare(*square(2.41, 2.37, 0.2, 500.0))


def _compare(vertices: Tensor, faces: Tensor) -> None:
    colors = torch.rand(*vertices.shape[:2], 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = draw(TorchRasterizer(), vertices, colors, faces, 15, 16)
    for mine, expected in zip(ours, draw(CpuRasterizer(), vertices, colors, faces, 15, 16), strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-9, rtol=1e-7)


def test_passes_over_few_candidates_give_the_same_triangles(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = random_triangles(8, 12, seed=11, batch=2)
    whole = zbuffer.nearest_faces(vertices, faces, 12, 12)
    monkeypatch.setattr(zbuffer, "_CANDIDATES_PER_PASS", 97)
    assert torch.equal(zbuffer.nearest_faces(vertices, faces, 12, 12), whole)


def test_of_equal_depths_the_lower_face_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = square(0.0, 0.0, 4.0, 500.0)
    twice = torch.cat((faces, faces))
    for candidates in (2**20, 5):
        monkeypatch.setattr(zbuffer, "_CANDIDATES_PER_PASS", candidates)
        assert zbuffer.nearest_faces(vertices, twice, 4, 4).max() == 1


def test_topology_follows_the_mesh() -> None:
    """A second mesh, and the first one changed in place, are not antialiased with remembered tables."""
    vertices, faces = turned_sphere(1)
    image_space = (vertices * torch.tensor([4.3, -3.9, -80.0]) + torch.tensor([6.2, 5.9, 400.0]))[None]
    reused, changed = TorchRasterizer(), faces.clone()
    for _ in range(2):
        fragments = reused.rasterize(image_space, changed, 12, 12)
        mask = (fragments.face_index >= 0).double()[..., None]
        fresh = TorchRasterizer().antialias(mask, fragments, image_space, changed)
        assert torch.equal(reused.antialias(mask, fragments, image_space, changed), fresh)
        # Every second triangle collapses: what was closed is now full of borders.
        changed[::2] = 0


def test_half_precision_elsewhere_does_not_blur_the_drawing() -> None:
    vertices, faces = random_triangles(8, 12, seed=11)
    vertices = vertices.float()

    def picture() -> Tensor:
        rasterizer = TorchRasterizer()
        fragments = rasterizer.rasterize(vertices, faces, 12, 12)
        return rasterizer.antialias(rasterizer.interpolate(vertices, fragments, faces), fragments, vertices, faces)

    expected = picture()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(picture(), expected)
