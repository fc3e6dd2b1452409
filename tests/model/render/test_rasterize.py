import numpy as np
import pytest
import torch
from scipy.spatial import Delaunay

from model.render.backends import build_rasterizer
from model.render.cpu.rasterizer import CpuRasterizer
from model.render.pytorch.rasterizer import TorchRasterizer
from model.render.rasterizer import Rasterizer
from tests.model.render.reference_rasterizer import rasterize as reference_rasterize
from tests.model.render.render_scenes import random_triangles, sphere, square

SIDE = 32


@pytest.fixture(params=[CpuRasterizer, TorchRasterizer])
def rasterizer(request: pytest.FixtureRequest) -> Rasterizer:
    return request.param()


def sphere_in_image(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """A sphere of radius 10.3 px whose middle is at 600 mm and (16.2, 15.1) px."""
    vertices, faces = sphere()
    scale = torch.tensor([10.3, -10.3, -80.0], dtype=torch.float64)
    return (vertices * scale + torch.tensor([16.2, 15.1, 600.0]))[None].to(dtype), faces


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("scene", ["triangles", "sphere"])
def test_agrees_with_slow_reference(rasterizer: Rasterizer, scene: str, dtype: torch.dtype, tolerance: float) -> None:
    vertices, faces = random_triangles(12, SIDE, seed=3) if scene == "triangles" else sphere_in_image()
    # Rounded first, so that both draw the same mesh.
    vertices = vertices.to(dtype)
    fragments = rasterizer.rasterize(vertices, faces, SIDE, SIDE + 5)
    face_index, barycentric, depth, clearance = reference_rasterize(
        vertices[0].double().numpy(), faces.numpy(), SIDE, SIDE + 5
    )
    sure = clearance > 1e-4
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(fragments.face_index[0].numpy()[sure], face_index[sure])
    np.testing.assert_allclose(fragments.barycentric[0].numpy()[sure], barycentric[sure], atol=tolerance)
    np.testing.assert_allclose(fragments.depth_mm[0].numpy()[sure], depth[sure], atol=1e3 * tolerance)


def test_barycentrics_reproduce_pixel_and_depth(rasterizer: Rasterizer) -> None:
    vertices, faces = random_triangles(6, SIDE, seed=1, batch=2)
    fragments = rasterizer.rasterize(vertices, faces, SIDE, SIDE)
    covered = fragments.face_index >= 0
    depth = vertices[..., 2:]
    # x * z and y * z are linear on the surface, x and y are not.
    linear = torch.cat((vertices[..., :2] * depth, depth), dim=-1)
    seen = rasterizer.interpolate(linear, fragments, faces)
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    where = torch.stack((columns, rows), dim=-1).double().expand(2, -1, -1, -1)
    torch.testing.assert_close((seen[..., :2] / seen[..., 2:])[covered], where[covered])
    torch.testing.assert_close(seen[..., 2][covered], fragments.depth_mm[covered])
    torch.testing.assert_close(fragments.barycentric.sum(-1), covered.double())


def test_shared_edges_are_covered_exactly_once(rasterizer: Rasterizer) -> None:
    """Vertices on pixel centres and borders, so that many centres lie exactly on edges and vertices."""
    generator = np.random.default_rng(0)
    inner = generator.integers(0, 2 * 16, (40, 2)) / 2.0
    points = np.unique(np.concatenate((inner, [[0, 0], [16, 0], [0, 16], [16, 16]])), axis=0)
    faces = torch.from_numpy(Delaunay(points).simplices).int()
    vertices = torch.tensor(np.concatenate((points, np.full((len(points), 1), 500.0)), axis=1))[None]
    generator.shuffle(faces.numpy().T)
    single = [rasterizer.rasterize(vertices, faces[i : i + 1], 16, 16).face_index[0] >= 0 for i in range(len(faces))]
    count = torch.stack(single).sum(0)
    assert (count == 1).all()
    assert (rasterizer.rasterize(vertices, faces, 16, 16).face_index >= 0).all()


def test_square_covers_exactly_its_pixels(rasterizer: Rasterizer) -> None:
    vertices, faces = square(0.0, 0.0, 2.0, 500.0)
    covered = rasterizer.rasterize(vertices, faces, 4, 4).face_index[0] >= 0
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(covered, expected)


def test_closed_surface_has_no_cracks(rasterizer: Rasterizer) -> None:
    """A sphere of triangles far smaller than a pixel, in single precision: a full disc, only front faces seen."""
    vertices, faces = sphere(subdivisions=5)
    image = (vertices * torch.tensor([13.0, -13.0, -80.0]) + torch.tensor([16.0, 16.0, 600.0]))[None].float()
    fragments = rasterizer.rasterize(image, faces, SIDE, SIDE)
    rows, columns = torch.meshgrid(torch.arange(SIDE) - 15.5, torch.arange(SIDE) - 15.5, indexing="ij")
    radius = torch.hypot(rows, columns)
    covered = fragments.face_index[0] >= 0
    assert covered[radius < 12.97].all()
    assert not covered[radius > 13.0].any()
    assert (fragments.depth_mm[0][covered] <= 600.0).all()
    culled = CpuRasterizer(cull_back_faces=True).rasterize(image, faces, SIDE, SIDE)
    assert torch.equal(culled.face_index, fragments.face_index)


def test_culling_leaves_out_what_is_seen_from_behind(rasterizer: Rasterizer) -> None:
    vertices, faces = sphere_in_image()
    inside_out = faces.flip(1)
    seen = rasterizer.rasterize(vertices, inside_out, SIDE, SIDE)
    assert torch.equal(seen.face_index, rasterizer.rasterize(vertices, faces, SIDE, SIDE).face_index)
    culled = CpuRasterizer(cull_back_faces=True).rasterize(vertices, inside_out, SIDE, SIDE)
    covered = culled.face_index >= 0
    assert covered.sum() > 200
    assert (culled.depth_mm[covered] > 600.0).all()


def test_mirrored_mesh_gives_mirrored_picture(rasterizer: Rasterizer) -> None:
    vertices, faces = sphere_in_image()
    mirrored = vertices.clone()
    mirrored[..., 0] = SIDE - vertices[..., 0]
    plain = rasterizer.rasterize(vertices, faces, SIDE, SIDE)
    flipped = rasterizer.rasterize(mirrored, faces, SIDE, SIDE)
    assert torch.equal(flipped.face_index.flip(2), plain.face_index)
    torch.testing.assert_close(flipped.barycentric.flip(2), plain.barycentric)


def test_batch_elements_are_independent(rasterizer: Rasterizer) -> None:
    vertices, faces = random_triangles(12, SIDE, seed=5, batch=3)
    together = rasterizer.rasterize(vertices, faces, SIDE, SIDE)
    for i in range(3):
        alone = rasterizer.rasterize(vertices[i : i + 1], faces, SIDE, SIDE)
        assert torch.equal(alone.face_index[0], together.face_index[i])
        assert torch.equal(alone.barycentric[0], together.barycentric[i])


def test_empty_pictures(rasterizer: Rasterizer) -> None:
    vertices, faces = square(100.0, 100.0, 5.0, 500.0)
    for name, triangles in (("outside the picture", faces), ("no triangle", faces[:0])):
        fragments = rasterizer.rasterize(vertices, triangles, 8, 8)
        assert (fragments.face_index == -1).all(), name
        assert (fragments.barycentric == 0).all(), name
        assert (fragments.depth_mm == 0).all(), name
        image = rasterizer.interpolate(vertices, fragments, triangles)
        assert (rasterizer.antialias(image, fragments, vertices, triangles) == 0).all(), name
    assert rasterizer.rasterize(vertices[:0], faces, 8, 8).face_index.shape == (0, 8, 8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_degenerate_triangles_are_not_drawn(rasterizer: Rasterizer, bad: float) -> None:
    vertices, faces = square(1.0, 1.0, 5.0, 500.0)
    broken = vertices.clone()
    broken[0, 1, 0] = bad
    fragments = rasterizer.rasterize(torch.cat((vertices, broken)), faces, 8, 8)
    assert (fragments.face_index[0] >= 0).sum() == 25
    assert torch.isfinite(fragments.barycentric).all()
    assert torch.isfinite(fragments.depth_mm).all()
    flat = vertices.clone()
    flat[..., 1] = 2.5
    flat.requires_grad_()
    edge_on = rasterizer.rasterize(flat, faces, 8, 8)
    assert (edge_on.face_index == -1).all()
    edge_on.barycentric.sum().backward()
    assert (flat.grad == 0).all()


def test_triangles_behind_the_near_plane_are_not_drawn(rasterizer: Rasterizer) -> None:
    vertices, faces = square(1.0, 1.0, 5.0, 500.0)
    vertices[0, 1, 2] = 0.5
    fragments = rasterizer.rasterize(vertices, faces, 8, 8)
    assert set(fragments.face_index.unique().tolist()) == {-1, 1}


def test_refuses_faces_of_another_mesh(rasterizer: Rasterizer) -> None:
    vertices, faces = square(1.0, 1.0, 5.0, 500.0)
    with pytest.raises(ValueError, match="4 vertices"):
        rasterizer.rasterize(vertices, faces + 1, 8, 8)


def test_same_to_the_bit_on_any_number_of_threads(rasterizer: Rasterizer) -> None:
    vertices, faces = random_triangles(20, SIDE, seed=8, batch=4)
    threads = torch.get_num_threads()
    pictures, gradients = [], []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            leaf = vertices.clone().requires_grad_()
            fragments = rasterizer.rasterize(leaf, faces, SIDE, SIDE)
            (fragments.barycentric[..., 0] * fragments.depth_mm).sum().backward()
            pictures.append(fragments.barycentric.detach())
            gradients.append(leaf.grad)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(gradients[0], gradients[1])


def test_choice_of_a_rasterizer() -> None:
    assert isinstance(build_rasterizer("cpu"), CpuRasterizer)
    assert isinstance(build_rasterizer("torch"), TorchRasterizer)
    with pytest.raises(ValueError, match="choose"):
        build_rasterizer("gpu")
