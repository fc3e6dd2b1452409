import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.geometry.camera import project
from model.refine.raytrace.pixel_surface import HeadGeometry, offset_origins, pixel_surface, points_at_vertices
from model.render.backends import build_rasterizer
from tests.model.refine.raytrace.ray_scenes import ball, ball_surface, camera, rays_of
from tests.small_world import toy_head

SIZE = 32


def toy_geometry() -> HeadGeometry:
    """The toy head with texture vertices in another order than its vertices."""
    head = toy_head()
    order = np.random.default_rng(0).permutation(len(head.uv))
    return HeadGeometry(
        torch.from_numpy(head.vertices_mm) + torch.tensor([0.0, 0.0, -800.0]),
        torch.from_numpy(head.faces),
        torch.from_numpy(head.uv[order]),
        torch.from_numpy(np.argsort(order).astype(np.int32)[head.uv_faces]),
    )


def test_each_sample_lies_in_the_middle_of_its_cell_of_its_pixel():
    surface = ball_surface(SIZE, samples_per_side=2)
    image = project(surface.points.position_mm[None], camera(SIZE)[None])[0]
    column, row = surface.pixel_index % SIZE, surface.pixel_index // SIZE
    within = image[:, :2] - torch.stack((column, row), -1)
    torch.testing.assert_close((4 * within).round(), 4 * within, atol=0.01, rtol=0)
    assert set(within.mul(4).round().int().flatten().tolist()) == {1, 3}


def test_it_sees_what_the_rasterizer_sees():
    geometry = toy_geometry()
    surface = pixel_surface(geometry, rays_of(geometry), camera(SIZE), SIZE)
    fragments = build_rasterizer("torch").rasterize(
        project(geometry.vertices_mm[None], camera(SIZE)[None]), geometry.faces, SIZE, SIZE
    )
    drawn = fragments.face_index[0].flatten()
    assert (drawn[surface.pixel_index] == surface.face_index).float().mean() > 0.99
    assert len(surface) > 0.97 * (drawn >= 0).sum()
    same = drawn[surface.pixel_index] == surface.face_index
    torch.testing.assert_close(
        fragments.barycentric[0].flatten(0, 1)[surface.pixel_index][same], surface.barycentric[same], atol=2e-3, rtol=0
    )


def test_texture_coordinates_are_those_of_the_uv_faces_with_v_up():
    geometry, head = toy_geometry(), toy_head()
    surface = pixel_surface(geometry, rays_of(geometry), camera(SIZE), SIZE)
    torch.testing.assert_close(surface.uv, surface.interpolate(torch.from_numpy(head.uv)), atol=1e-5, rtol=0)
    top, bottom = surface.pixel_index.argmin(), surface.pixel_index.argmax()
    assert surface.uv[top, 1] > surface.uv[bottom, 1]


def test_normals_are_those_of_a_ball_and_views_look_at_the_camera():
    surface = ball_surface()
    outward = torch.nn.functional.normalize(surface.points.position_mm - torch.tensor([0.0, 0.0, -800.0]), dim=-1)
    torch.testing.assert_close(surface.points.normal, outward, atol=5e-3, rtol=0)
    assert (surface.points.geometric_normal * outward).sum(-1).min() > 0.995
    torch.testing.assert_close(
        surface.view * surface.points.position_mm.norm(dim=-1, keepdim=True), -surface.points.position_mm
    )


def test_vertex_normals_are_shared_by_the_whole_mesh():
    points = points_at_vertices(ball())
    outward = torch.nn.functional.normalize(points.position_mm - torch.tensor([0.0, 0.0, -800.0]), dim=-1)
    torch.testing.assert_close(points.normal, outward, atol=5e-3, rtol=0)


def test_grazing_samples_and_unwanted_triangles_are_left_out():
    every, steep = ball_surface(min_cosine=0.0), ball_surface(min_cosine=0.7)
    assert 0.3 * len(every) < len(steep) < 0.7 * len(every)
    assert ((steep.points.normal * steep.view).sum(-1) > 0.7).all()
    scene = ball()
    right = scene.vertices_mm[scene.faces.long()].mean(1)[:, 0] > 0.0
    half = pixel_surface(scene, rays_of(scene), camera(24), 24, keep_faces=right)
    assert (half.points.position_mm[:, 0] > -2.0).all()
    assert 0.4 < len(half) / len(every) < 0.6


def test_samples_are_averaged_into_pixels_and_the_rest_is_zero():
    surface = ball_surface(SIZE, samples_per_side=2)
    values = torch.ones(len(surface), 3, requires_grad=True)
    picture = surface.pixel_mean(values)
    covered = surface.coverage() > 0
    assert 0.2 < covered.float().mean() < 0.6
    torch.testing.assert_close(picture[covered], torch.ones(int(covered.sum()), 3))
    assert (picture[~covered] == 0).all()
    assert surface.coverage().max() == 1.0
    picture.sum().backward()
    torch.testing.assert_close(values.grad.sum(), 3.0 * covered.sum().float())


def test_kept_samples_are_those_of_the_mask():
    surface = ball_surface()
    keep = surface.points.position_mm[:, 0] > 0
    kept = surface.kept(keep)
    assert len(kept) == keep.sum()
    assert torch.equal(kept.pixel_index, surface.pixel_index[keep])
    assert torch.equal(kept.points.normal, surface.points.normal[keep])


def test_rays_that_leave_the_surface_do_not_meet_it():
    surface = ball_surface()
    origins = offset_origins(surface.points)
    assert not rays_of(ball()).occluded(origins, surface.points.normal.numpy()).any()
