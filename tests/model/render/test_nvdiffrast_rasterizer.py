"""The wrapper around nvdiffrast, held against an emulation of its conventions; with a GPU see the parity test."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from model.render.backends import build_rasterizer
from model.render.cpu.rasterizer import CpuRasterizer
from model.render.nvdiffrast_rasterizer import NvdiffrastRasterizer
from model.render.rasterizer import Fragments, Rasterizer
from tests.model.render import fake_nvdiffrast
from tests.model.render.render_scenes import random_triangles, square, turned_sphere

HEIGHT, WIDTH = 21, 34


@pytest.fixture
def rasterizer(monkeypatch: pytest.MonkeyPatch) -> NvdiffrastRasterizer:
    package = ModuleType("nvdiffrast")
    package.torch = fake_nvdiffrast  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", fake_nvdiffrast)
    return NvdiffrastRasterizer()


def scene() -> tuple[Tensor, Tensor]:
    """Triangles across the border of two pictures, in front of each other, seen from both sides."""
    vertices, faces = random_triangles(9, 24, seed=2, batch=2)
    return vertices.float(), faces


def sure(fragments: Fragments, other: Fragments) -> Tensor:
    """Pixels where both see the same triangle."""
    same = fragments.face_index == other.face_index
    assert same.float().mean() > 0.995
    return same


def test_triangles_weights_and_depth_are_those_of_the_cpu_rasterizer(rasterizer: NvdiffrastRasterizer) -> None:
    vertices, faces = scene()
    fragments = rasterizer.rasterize(vertices, faces, HEIGHT, WIDTH)
    expected = CpuRasterizer().rasterize(vertices, faces, HEIGHT, WIDTH)
    same = sure(fragments, expected)
    assert len(expected.face_index.unique()) > 6
    torch.testing.assert_close(fragments.barycentric[same], expected.barycentric[same], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(fragments.depth_mm[same], expected.depth_mm[same], atol=0.05, rtol=0.0)


def test_gradients_are_those_of_the_cpu_rasterizer(rasterizer: NvdiffrastRasterizer) -> None:
    vertices, faces = scene()
    colors = torch.rand(*vertices.shape[:2], 4, generator=torch.Generator().manual_seed(1))
    weights = torch.rand(2, HEIGHT, WIDTH, 4, generator=torch.Generator().manual_seed(2))
    both: list[Rasterizer] = [rasterizer, CpuRasterizer()]
    same = sure(*(each.rasterize(vertices, faces, HEIGHT, WIDTH) for each in both))
    gradients = []
    for each in both:
        corners, values = vertices.clone().requires_grad_(), colors.clone().requires_grad_()
        fragments = each.rasterize(corners, faces, HEIGHT, WIDTH)
        image = each.antialias(each.interpolate(values, fragments, faces), fragments, corners, faces)
        (((image * weights).sum(-1) + 0.01 * fragments.depth_mm) * same).sum().backward()
        gradients.append((corners.grad, values.grad))
    for ours, expected in zip(*gradients, strict=True):
        assert (ours - expected).norm() < 0.01 * expected.norm()


def test_near_and_broken_vertices_take_their_triangles_away(rasterizer: NvdiffrastRasterizer) -> None:
    near, faces = square(1.0, 5.0, 8.0, 400.0)
    far, _ = square(-0.3, 0.0, 20.0, 600.0)
    nan, infinite = float("nan"), float("inf")
    for vertex in ((9, 5, 0.5), (9, 5, -20), (nan, 5, 400), (9, infinite, 400), (9, 5, infinite), (9, 1e30, 400)):
        vertices = torch.cat((near, far), dim=1).float()
        vertices[0, 1] = torch.tensor(vertex)
        vertices.requires_grad_()
        fragments = rasterizer.rasterize(vertices, torch.cat((faces, faces + 4)), 16, 16)
        # Face 0 has the vertex, face 1 has not; what lies behind is seen instead.
        assert set(fragments.face_index.unique().tolist()) == {1, 2, 3}
        (fragments.barycentric[..., 0] + fragments.depth_mm).sum().backward()
        assert vertices.grad is not None
        assert vertices.grad.isfinite().all()
        assert (vertices.grad[0, 1] == 0).all()


def test_a_flat_mesh_and_one_without_depth_range_are_drawn(rasterizer: NvdiffrastRasterizer) -> None:
    vertices, faces = square(1.0, 1.0, 5.0, 500.0)
    assert (rasterizer.rasterize(vertices.float(), faces, 8, 8).face_index >= 0).sum() >= 20
    behind = vertices.float() * torch.tensor([1.0, 1.0, -1.0])
    assert (rasterizer.rasterize(behind, faces, 8, 8).face_index == -1).all()


def test_empty_pictures_and_other_types_never_reach_the_package(rasterizer: NvdiffrastRasterizer) -> None:
    vertices, faces = square(1.0, 1.0, 5.0, 500.0)
    for corners, triangles in ((vertices, faces[:0]), (vertices[:0], faces)):
        fragments = rasterizer.rasterize(corners, triangles, 8, 8)
        assert (fragments.face_index == -1).all()
        image = rasterizer.interpolate(corners, fragments, triangles)
        assert (image == 0).all()
        assert rasterizer.antialias(image, fragments, corners, triangles).shape == image.shape
    # Double and half precision, 64-bit and strided faces are converted.
    strided = faces.long().flip(1)
    fragments = rasterizer.rasterize(vertices.double(), strided, 8, 8)
    assert fragments.barycentric.dtype == torch.float32
    assert rasterizer.interpolate(vertices.bfloat16().mT.contiguous().mT, fragments, strided).dtype == torch.float32


def test_one_context_and_one_hash_serve_many_pictures(rasterizer: NvdiffrastRasterizer) -> None:
    own = NvdiffrastRasterizer(antialias="nvdiffrast")
    vertices, faces = turned_sphere(1)
    image_space = (vertices * torch.tensor([4.3, -3.9, -80.0]) + torch.tensor([6.2, 5.9, 400.0]))[None]
    contexts, hashes = fake_nvdiffrast.RasterizeCudaContext.made, fake_nvdiffrast.TopologyHash.made
    for _ in range(3):
        fragments = own.rasterize(image_space, faces, 12, 12)
        own.antialias(fragments.barycentric, fragments, image_space, faces)
    assert fake_nvdiffrast.RasterizeCudaContext.made == contexts + 1
    assert fake_nvdiffrast.TopologyHash.made == hashes + 1
    own.antialias(fragments.barycentric, fragments, image_space, faces.clone())
    assert fake_nvdiffrast.TopologyHash.made == hashes + 2


def test_without_the_package_the_error_says_how_to_get_it_and_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvdiffrast", None)
    with pytest.raises(ImportError, match=r"pip install.*non-commercial"):
        build_rasterizer("nvdiffrast")
