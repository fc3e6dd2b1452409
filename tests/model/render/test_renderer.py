import dataclasses

import pytest
import torch

from model.geometry.mesh import Mesh
from model.render.backends import build_rasterizer
from model.render.lighting import directional_lighting, neutral_lighting
from model.render.renderer import Renderer, Rendering
from tests.model.render.render_scenes import sphere

SIDE = 48


def scene(batch: int = 1) -> dict[str, torch.Tensor]:
    """A ball of radius 100 mm at 800 mm, 17 px in radius, lit from its left (the picture's right) and above."""
    vertices, faces = sphere()
    lamp = torch.nn.functional.normalize(torch.tensor([[1.0, 1.0, 1.0]]), dim=-1)
    lighting = 0.3 * neutral_lighting(1) + directional_lighting(lamp, torch.tensor([[0.8, 0.7, 0.6]]))
    return {
        "vertices_camera_mm": (100.0 * vertices.float() + torch.tensor([0.0, 0.0, -800.0])).repeat(batch, 1, 1),
        "albedo_linear": torch.tensor([0.5, 0.3, 0.2]).repeat(batch, len(vertices), 1),
        "lighting": lighting.repeat(batch, 1, 1),
        "faces": faces,
        "intrinsics_px": torch.tensor([[136.0, 0.0, 24.0], [0.0, 136.0, 24.0], [0.0, 0.0, 1.0]]).repeat(batch, 1, 1),
    }


def draw(inputs: dict[str, torch.Tensor], **options: torch.Tensor) -> Rendering:
    return Renderer(build_rasterizer()).render(**inputs, height=SIDE, width=SIDE, **options)


def test_neutral_light_shows_the_albedo() -> None:
    rendering = draw(scene() | {"lighting": neutral_lighting(1)})
    covered = rendering.face_index >= 0
    inside = rendering.mask == 1
    expected = torch.tensor([0.5, 0.3, 0.2]).expand(SIDE, SIDE, 3)[None]
    torch.testing.assert_close(rendering.image_linear[inside], expected[inside])
    torch.testing.assert_close(rendering.albedo_linear[covered], expected[covered])
    assert (rendering.albedo_linear[~covered] == 0).all()
    assert (rendering.shading[~covered] == 0).all()
    assert rendering.mask.min() == 0
    assert ((rendering.mask > 0) & (rendering.mask < 1)).sum() > 40


def test_light_from_the_subjects_left_brightens_the_right_of_the_picture() -> None:
    image = draw(scene()).image_linear[0]
    assert image[20, 34].sum() > 1.3 * image[20, 14].sum()
    assert image[14, 24].sum() > 1.3 * image[34, 24].sum()


def test_normals_are_those_of_a_ball() -> None:
    rendering = draw(scene())
    normals = rendering.normals[0]
    covered = rendering.face_index[0] >= 0
    torch.testing.assert_close(normals[covered].norm(dim=-1), torch.ones(int(covered.sum())))
    assert normals[24, 38, 0] > 0.7
    assert normals[10, 24, 1] > 0.7
    assert normals[24, 24, 2] > 0.99


def test_background_is_seen_through_the_mask() -> None:
    black, background = draw(scene()), torch.tensor([0.9, 0.1, 0.4]).expand(1, SIDE, SIDE, 3)
    over = draw(scene(), background_linear=background)
    expected = black.image_linear + (1.0 - black.mask)[..., None] * background
    torch.testing.assert_close(over.image_linear, expected)


def test_a_mesh_is_drawn_as_its_parts_are() -> None:
    inputs, background = scene(2), torch.rand(2, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    vertices, albedo = inputs["vertices_camera_mm"], inputs["albedo_linear"]
    # Model space is elsewhere: what is drawn are the vertices before the camera.
    mesh = Mesh(vertices + 1000.0, vertices, albedo)
    ours = Renderer(build_rasterizer()).render_mesh(
        mesh, inputs["lighting"], inputs["faces"], inputs["intrinsics_px"], SIDE, background
    )
    expected = draw(inputs, background_linear=background)
    assert expected.mask.any()
    for field in dataclasses.fields(Rendering):
        assert torch.equal(getattr(ours, field.name), getattr(expected, field.name)), field.name


def test_shading_by_vertex_and_by_pixel_agree_on_a_fine_mesh() -> None:
    inputs = scene()
    pixel = Renderer(build_rasterizer(), "pixel").render(**inputs, height=SIDE, width=SIDE)
    vertex = Renderer(build_rasterizer(), "vertex").render(**inputs, height=SIDE, width=SIDE)
    torch.testing.assert_close(pixel.image_linear, vertex.image_linear, atol=0.01, rtol=0.0)


def test_gradients_reach_every_input() -> None:
    inputs = scene(2)
    leaves = [name for name, value in inputs.items() if value.is_floating_point()]
    for name in leaves:
        inputs[name].requires_grad_()
    rendering = draw(inputs)
    ((rendering.image_linear - 0.2) ** 2).sum().backward()
    for name in leaves:
        gradient = inputs[name].grad
        assert gradient is not None, name
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().sum() > 0, name


def test_mirrored_scene_gives_the_mirrored_picture() -> None:
    inputs = scene()
    mirrored = dict(inputs)
    mirrored["vertices_camera_mm"] = inputs["vertices_camera_mm"] * torch.tensor([-1.0, 1.0, 1.0])
    mirrored["faces"] = inputs["faces"].flip(1)
    signs = torch.ones(9)
    signs[[3, 4, 7]] = -1.0
    mirrored["lighting"] = inputs["lighting"] * signs[:, None]
    plain, flipped = draw(inputs), draw(mirrored)
    torch.testing.assert_close(flipped.image_linear.flip(2), plain.image_linear, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(flipped.mask.flip(2), plain.mask, atol=1e-3, rtol=0.0)


def test_camera_behind_the_mesh_sees_only_background() -> None:
    inputs = scene()
    inputs["vertices_camera_mm"] = inputs["vertices_camera_mm"] * -1.0
    rendering = draw(inputs)
    for field in dataclasses.fields(rendering):
        value = getattr(rendering, field.name)
        assert (value == (-1 if field.name == "face_index" else 0)).all(), field.name


def test_shapes_are_checked() -> None:
    inputs = scene()
    inputs["lighting"] = inputs["lighting"][:, :4]
    with pytest.raises(Exception, match="lighting"):
        draw(inputs)
