import torch

from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.vertex_sampling import sample_at_vertices, vertex_visibility
from model.render.backends import build_rasterizer
from tests.small_world import crop_camera, toy_reconstructor

SIZE = 64


def test_sampling_reads_the_pixel_whose_centre_is_meant() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    points = torch.tensor([[[0.5, 0.5, 1.0], [3.5, 2.5, 1.0], [1.0, 0.5, 1.0], [-5.0, 9.0, 1.0]]])
    values = sample_at_vertices(image, points)[0, :, 0]
    torch.testing.assert_close(values, torch.tensor([0.0, 11.0, 0.5, 8.0]))


def test_sampling_is_differentiable_in_image_and_place() -> None:
    image = torch.rand(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    place = 1.0 + 2.5 * torch.rand(1, 3, 3, dtype=torch.float64)
    place.requires_grad_()
    assert torch.autograd.gradcheck(sample_at_vertices, (image, place))


def test_what_the_rasterizer_shows_is_visible_and_the_back_of_the_head_is_not() -> None:
    model = toy_reconstructor().morphable_model
    vertices_mm = model.mean_mm[None] + torch.tensor([0.0, 0.0, -800.0])
    camera = crop_camera(1, SIZE)
    image = project(vertices_mm, camera)
    normals = vertex_normals(vertices_mm, model.faces)
    seen = vertex_visibility(image, vertices_mm, normals, SIZE, SIZE)[0] > 0
    front = model.mean_mm[:, 2] > 30.0
    assert seen[front].all()
    assert not seen[model.mean_mm[:, 2] < -10.0].any()
    fragments = build_rasterizer("cpu").rasterize(image, model.faces, SIZE, SIZE)
    shown = model.faces[fragments.face_index[fragments.face_index >= 0].long()].unique().long()
    # Corners of shown triangles may themselves lie just behind the outline, but what is seen is shown.
    assert torch.isin(seen.nonzero()[:, 0], shown).float().mean() > 0.95


def test_what_lies_behind_something_or_outside_the_picture_is_hidden() -> None:
    near, behind, beside = [0.0, 0.0, -500.0], [0.5, 0.0, -540.0], [400.0, 0.0, -500.0]
    vertices = torch.tensor([[near, behind, beside]])
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(1, 3, 3)
    image = project(vertices, crop_camera(1, SIZE))
    assert vertex_visibility(image, vertices, normals, SIZE, SIZE)[0].tolist() == [1.0, 0.0, 0.0]
