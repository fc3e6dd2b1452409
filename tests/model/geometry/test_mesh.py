import pytest
import torch
import trimesh
from torch import Tensor

from model.geometry.mesh import face_normals, faces_around, uniform_laplacian, vertex_normals


@pytest.fixture(scope="module")
def sphere() -> tuple[Tensor, Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=80.0)
    return torch.tensor(mesh.vertices.copy())[None], torch.tensor(mesh.faces.copy()).int()


def test_normals_of_a_sphere_point_outwards(sphere: tuple[Tensor, Tensor]) -> None:
    vertices, faces = sphere
    normals = vertex_normals(vertices, faces)
    assert (normals * vertices / 80.0).sum(-1).min() > 0.999
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones_like(normals[..., 0]))


def test_face_normals_of_a_closed_surface_cancel_and_sum_to_its_area(sphere: tuple[Tensor, Tensor]) -> None:
    normals = face_normals(*sphere)
    torch.testing.assert_close(normals.sum(1), torch.zeros(1, 3, dtype=torch.float64), atol=1e-8, rtol=0.0)
    area = trimesh.Trimesh(sphere[0][0].numpy(), sphere[1].numpy(), process=False).area
    assert 0.5 * normals.norm(dim=-1).sum().item() == pytest.approx(area)


def test_normals_by_a_table_of_the_faces_around_are_the_same(sphere: tuple[Tensor, Tensor]) -> None:
    vertices, faces = sphere
    bumpy = vertices * (1.0 + 0.2 * torch.sin(vertices[..., :1] / 20.0))
    # One more vertex, of no face.
    bumpy = torch.cat((bumpy, torch.ones_like(bumpy[:, :1])), dim=1)
    around = faces_around(faces, bumpy.shape[1])
    torch.testing.assert_close(vertex_normals(bumpy, faces, around), vertex_normals(bumpy, faces))


def test_normals_turn_with_the_mesh(sphere: tuple[Tensor, Tensor]) -> None:
    vertices, faces = sphere
    bumpy = vertices * (1.0 + 0.2 * torch.sin(vertices[..., :1] / 20.0))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    turn = turn * torch.linalg.det(turn)
    turned = vertex_normals(bumpy @ turn.T + 5.0, faces)
    torch.testing.assert_close(turned, vertex_normals(bumpy, faces) @ turn.T)


def test_a_vertex_of_no_face_has_no_normal_and_no_gradient() -> None:
    vertices = torch.rand(1, 4, 3, dtype=torch.float64, requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    normals.sum().backward()
    assert vertices.grad is not None
    assert torch.isfinite(vertices.grad).all()
    assert not normals[0, 3].any()


def test_laplacian_of_a_linear_function_on_a_regular_grid_is_zero_inside() -> None:
    side = 6
    index = torch.arange(side * side).view(side, side)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = torch.cat((torch.stack((a, b, d), -1).view(-1, 3), torch.stack((a, d, c), -1).view(-1, 3)))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    linear = (3.0 * x - 2.0 * y + 1.0).reshape(-1, 1)
    laplacian = (uniform_laplacian(faces, side * side) @ linear).view(side, side)
    torch.testing.assert_close(laplacian[1:-1, 1:-1], torch.zeros(side - 2, side - 2), atol=1e-5, rtol=0.0)
    assert laplacian[0].abs().max() > 0.1


def test_laplacian_is_neighbours_mean_minus_self(sphere: tuple[Tensor, Tensor]) -> None:
    vertices, faces = sphere[0][0].float(), sphere[1]
    result = uniform_laplacian(faces, len(vertices)) @ vertices
    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    for vertex in (0, 17, 300):
        around = vertices[torch.tensor(mesh.vertex_neighbors[vertex])].mean(0)
        torch.testing.assert_close(result[vertex], around - vertices[vertex], atol=1e-4, rtol=0.0)


def test_laplacian_leaves_a_lonely_vertex_alone() -> None:
    result = uniform_laplacian(torch.tensor([[0, 1, 2]]), 5) @ torch.rand(5, 2)
    assert not result[3:].any()
