"""Gradients of rasterizer, interpolation and antialiasing against finite differences, in double precision."""

import pytest
import torch

from model.render.cpu.rasterizer import CpuRasterizer
from tests.model.render.render_scenes import random_triangles, square, turned_sphere

SIDE = 12


@pytest.fixture
def rasterizer() -> CpuRasterizer:
    return CpuRasterizer()


def probe(shape: torch.Size | tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Fixed random weights that turn a picture into a number."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ball(scale_px: float = 4.3, subdivisions: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    vertices, faces = turned_sphere(subdivisions)
    scale = torch.tensor([scale_px, -0.9 * scale_px, -80.0], dtype=torch.float64)
    return (vertices * scale + torch.tensor([6.21, 5.87, 400.0]))[None], faces


@pytest.mark.slow
def test_barycentrics_and_depth(rasterizer: CpuRasterizer) -> None:
    vertices, faces = random_triangles(4, SIDE, seed=2, batch=2)
    weights, depth_weights = probe((2, SIDE, SIDE, 3)), probe((2, SIDE, SIDE))

    def measure(leaf: torch.Tensor) -> torch.Tensor:
        fragments = rasterizer.rasterize(leaf, faces, SIDE, SIDE)
        return (fragments.barycentric * weights).sum() + (fragments.depth_mm * depth_weights).sum()

    assert torch.autograd.gradcheck(measure, vertices.requires_grad_(), eps=1e-5, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_interpolation_by_attributes_and_vertices(rasterizer: CpuRasterizer) -> None:
    vertices, faces = random_triangles(4, SIDE, seed=4, batch=2)
    attributes = probe((2, vertices.shape[1], 2), seed=1)
    weights = probe((2, SIDE, SIDE, 2))

    def measure(leaf: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        fragments = rasterizer.rasterize(leaf, faces, SIDE, SIDE)
        return (rasterizer.interpolate(values, fragments, faces) ** 2 * weights).sum()

    inputs = (vertices.requires_grad_(), attributes.requires_grad_())
    assert torch.autograd.gradcheck(measure, inputs, eps=1e-5, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["triangles", "large ball", "ball of triangles smaller than a pixel"])
def test_antialias_by_image_and_vertices(rasterizer: CpuRasterizer, scene: str) -> None:
    if scene == "triangles":
        vertices, faces = random_triangles(4, SIDE, seed=6)
    else:
        vertices, faces = ball(subdivisions=1 if scene == "large ball" else 3)
    fragments = rasterizer.rasterize(vertices, faces, SIDE, SIDE)
    image, weights = probe((1, SIDE, SIDE, 2), seed=1), probe((1, SIDE, SIDE, 2))

    def measure(picture: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
        return (rasterizer.antialias(picture, fragments, leaf, faces) * weights).sum()

    assert not torch.equal(rasterizer.antialias(image, fragments, vertices, faces), image)
    inputs = (image.requires_grad_(), vertices.requires_grad_())
    assert torch.autograd.gradcheck(measure, inputs, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_antialias_of_a_pixel_blended_from_all_sides(rasterizer: CpuRasterizer) -> None:
    """A square far smaller than its pixel: four blends whose sum exceeds 1."""
    vertices, faces = square(2.41, 2.37, 0.2, 500.0)
    fragments = rasterizer.rasterize(vertices, faces, 5, 5)
    image = (fragments.face_index >= 0).double()[..., None] + 0.3 * probe((1, 5, 5, 1))
    blended = rasterizer.antialias(image, fragments, vertices, faces)
    assert blended.min() >= image.min()
    assert blended.max() <= image.max()

    def measure(picture: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
        return (rasterizer.antialias(picture, fragments, leaf, faces) * probe((1, 5, 5, 1), seed=2)).sum()

    assert torch.autograd.gradcheck(measure, (image.requires_grad_(), vertices.requires_grad_()), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("edge_x", [2.6, 3.0, 3.4999, 3.5001, 4.3])
def test_vertical_edge_gives_exact_coverage(rasterizer: CpuRasterizer, edge_x: float) -> None:
    vertices, faces = square(edge_x - 40.0, -10.0, 40.0, 500.0)
    vertices.requires_grad_()
    fragments = rasterizer.rasterize(vertices, faces, 4, 8)
    mask = rasterizer.antialias((fragments.face_index >= 0).double()[..., None], fragments, vertices, faces)
    torch.testing.assert_close(mask[0, 1, :, 0].sum(), torch.tensor(edge_x, dtype=torch.float64))
    mask[0, 1].sum().backward()
    # Moving the whole edge by one pixel covers one pixel more in the row.
    assert vertices.grad is not None
    torch.testing.assert_close(vertices.grad[0, :, 0].sum(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("angle_degrees", [0.0, 10.0, 30.0, 45.0, 70.0])
def test_slanted_edges_are_counted_once(rasterizer: CpuRasterizer, angle_degrees: float) -> None:
    """The coverage of a turned square is its area, and grows with its size as the area does."""
    angle = torch.deg2rad(torch.tensor(angle_degrees, dtype=torch.float64))
    turn = torch.stack((torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos()))))
    corners, faces = square(-10.0, -10.0, 20.0, 500.0)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    flat = scale * corners[..., :2] @ turn.T + torch.tensor([20.13, 19.71])
    vertices = torch.cat((flat, corners[..., 2:]), dim=-1)
    fragments = rasterizer.rasterize(vertices, faces, 40, 40)
    mask = rasterizer.antialias((fragments.face_index >= 0).double()[..., None], fragments, vertices, faces)
    mask.sum().backward()
    assert float(mask.sum().detach()) == pytest.approx(400.0, rel=0.01)
    assert scale.grad is not None
    assert float(scale.grad) == pytest.approx(800.0, rel=0.08)


def test_edges_within_a_surface_are_left_alone(rasterizer: CpuRasterizer) -> None:
    vertices, faces = square(-3.0, -3.0, 20.0, 500.0)
    fragments = rasterizer.rasterize(vertices, faces, 8, 8)
    image = probe((1, 8, 8, 3))
    assert len(fragments.face_index.unique()) == 2
    assert torch.equal(rasterizer.antialias(image, fragments, vertices, faces), image)


def test_occlusion_between_two_surfaces_is_blended(rasterizer: CpuRasterizer) -> None:
    """A near square over a far one: only the near one's edge moves the picture."""
    near, faces = square(-20.0, -20.0, 24.7, 400.0)
    far, _ = square(-50.0, -50.0, 100.0, 600.0)
    vertices = torch.cat((near, far), dim=1).requires_grad_()
    both = torch.cat((faces, faces + 4))
    fragments = rasterizer.rasterize(vertices, both, 8, 8)
    image = (fragments.face_index < 2).double()[..., None]
    blended = rasterizer.antialias(image, fragments, vertices, both)
    torch.testing.assert_close(blended[0, 1, :, 0].sum(), torch.tensor(4.7, dtype=torch.float64))
    blended.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad[0, :4].abs().sum() > 1.0
    assert (vertices.grad[0, 4:] == 0).all()


@pytest.mark.slow
def test_silhouette_alone_finds_position_and_size(rasterizer: CpuRasterizer) -> None:
    """Coverage is the only signal: it must pull a ball to the target's place and size."""
    vertices, faces = turned_sphere(subdivisions=3)
    unit = torch.cat((vertices[:, :1], -vertices[:, 1:2]), dim=1)

    def cover(place: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        depth = 600.0 - 50.0 * vertices[:, 2:]
        image_space = torch.cat((unit * size + place, depth), dim=1)[None]
        fragments = rasterizer.rasterize(image_space, faces, 40, 40)
        return rasterizer.antialias((fragments.face_index >= 0).double()[..., None], fragments, image_space, faces)

    target_place, target_size = torch.tensor([21.37, 18.62]).double(), torch.tensor(12.4).double()
    target = cover(target_place, target_size)
    place = torch.tensor([16.0, 22.0]).double().requires_grad_()
    size = torch.tensor(8.0).double().requires_grad_()
    optimizer = torch.optim.Adam([place, size], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 120)
    for _ in range(120):
        optimizer.zero_grad()
        ((cover(place, size) - target) ** 2).sum().backward()
        optimizer.step()
        schedule.step()
    torch.testing.assert_close(place.detach(), target_place, atol=0.01, rtol=0.0)
    torch.testing.assert_close(size.detach(), target_size, atol=0.01, rtol=0.0)
