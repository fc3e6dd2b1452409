import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace.bounce import bounce_table, seen_vertices
from model.refine.raytrace.light_basis import HarmonicLight
from model.refine.raytrace.pixel_surface import HeadGeometry, ShadingPoints, pixel_surface
from model.refine.raytrace.transport import TransportConfig, build_tables
from model.refine.raytrace.transport_tables import irradiance
from tests.model.refine.raytrace.ray_scenes import (
    ball,
    ball_surface,
    camera,
    floor_points,
    geometry,
    rays_of,
    wall,
    wall_share,
)


def room() -> HeadGeometry:
    """The ball turned inside out."""
    return geometry(ball(3).vertices_mm.numpy(), ball(3).faces.numpy()[:, ::-1].copy())


def points_in_the_room(count: int = 20) -> ShadingPoints:
    generator = torch.manual_seed(0)
    position = torch.tensor([0.0, 0.0, -800.0]) + 30.0 * torch.randn(count, 3, generator=generator).clamp(-1.0, 1.0)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return ShadingPoints(position, normal, normal)


def test_in_a_closed_room_the_walls_fill_the_hemisphere():
    scene = room()
    seen = seen_vertices(points_in_the_room(), scene, rays_of(scene), 4096)
    torch.testing.assert_close(seen @ torch.ones(len(scene.vertices_mm), 1), torch.ones(20, 1), atol=0.01, rtol=0)


def test_what_arrives_is_the_cosine_weighted_mean_of_the_walls():
    # Radiance (1 + z) / 2 of direction z seen from the middle: n gets 1/2 + n_z / 3.
    scene, middle = room(), torch.tensor([0.0, 0.0, -800.0])
    points = points_in_the_room()
    points = ShadingPoints(middle.expand(20, 3).contiguous(), points.normal, points.normal)
    seen = seen_vertices(points, scene, rays_of(scene), 4096)
    radiance = 0.5 + 0.5 * torch.nn.functional.normalize(scene.vertices_mm - middle, dim=-1)[:, 2:]
    torch.testing.assert_close(seen @ radiance, 0.5 + points.normal[:, 2:] / 3.0, atol=0.01, rtol=0)


@pytest.mark.parametrize(("distance_mm", "height_mm"), [(50.0, 100.0), (100.0, 50.0)])
def test_a_wall_beside_the_floor_reflects_its_form_factor(distance_mm: float, height_mm: float):
    scene = wall(distance_mm, height_mm)
    seen = seen_vertices(floor_points(), scene, rays_of(scene), 4096)
    share = float((seen @ torch.ones(4, 1))[0, 0])
    assert share == pytest.approx(wall_share(distance_mm, height_mm), abs=0.01)


def test_the_back_of_a_triangle_reflects_nothing():
    front = wall(50.0, 100.0)
    back = geometry(front.vertices_mm.numpy(), front.faces.numpy()[:, ::-1].copy())
    assert float((seen_vertices(floor_points(), back, rays_of(back), 512) @ torch.ones(4, 1))[0, 0]) == 0.0


def test_the_bounce_is_albedo_times_light_at_the_vertices():
    scene = wall(50.0, 100.0)
    seen = seen_vertices(floor_points(), scene, rays_of(scene), 512)
    albedo = torch.tensor([[0.9, 0.3, 0.0]]).expand(4, 3)
    light = torch.tensor([[1.0, 2.0]]).expand(4, 2)
    share = float((seen @ torch.ones(4, 1))[0, 0])
    expected = share * torch.tensor([[[0.9, 0.3, 0.0], [1.8, 0.6, 0.0]]])
    torch.testing.assert_close(bounce_table(seen, albedo, light), expected)


def test_a_head_without_folds_has_no_bounce_and_one_in_a_room_has():
    surface, albedo = ball_surface(12), torch.full((len(ball().vertices_mm), 3), 0.5)
    config = TransportConfig(directions=64, bounce_directions=64, glossy_samples=0)
    tables = build_tables(surface, rays_of(ball()), HarmonicLight(2), config, albedo)
    assert tables.bounce is not None
    assert tables.bounce.abs().max() < 0.02
    assert build_tables(surface, rays_of(ball()), HarmonicLight(2), config).bounce is None


def test_light_from_a_coloured_wall_colours_its_neighbour():
    # The ball beside a red wall that faces it, lit from everywhere.
    plain = ball(3)
    corners = np.array(
        [[120.0, -400.0, -400.0], [120.0, -400.0, -1200.0], [120.0, 400.0, -1200.0], [120.0, 400.0, -400.0]]
    )
    count = len(plain.vertices_mm)
    # Facing -x: towards the ball.
    scene = geometry(
        np.concatenate((plain.vertices_mm.numpy(), corners)),
        np.concatenate((plain.faces.numpy(), np.array([[0, 2, 1], [0, 3, 2]]) + count)),
    )
    albedo = torch.zeros(count + 4, 3)
    albedo[count:, 0] = 0.8
    rays = rays_of(scene)
    on_ball = torch.arange(len(scene.faces)) < len(plain.faces)
    surface = pixel_surface(scene, rays, camera(16), 16, keep_faces=on_ball)
    config = TransportConfig(directions=256, bounce_directions=256, glossy_samples=0)
    tables = build_tables(surface, rays, HarmonicLight(1), config, albedo)
    white = torch.ones(1, 3)
    arriving, direct = irradiance(tables, white), tables.diffuse @ white
    right = surface.points.position_mm[:, 0] > 60.0
    left = surface.points.position_mm[:, 0] < -60.0
    added = arriving - direct
    assert added[right, 0].min() > 0.1
    assert added[left, 0].max() < 0.03
    assert added[:, 1:].abs().max() == 0.0
    # Shadow and reflection share the hemisphere: no more than the wall hides comes back, times its albedo.
    assert (added[:, 0] <= 0.8 * (1.0 - direct[:, 0]) + 0.03).all()
