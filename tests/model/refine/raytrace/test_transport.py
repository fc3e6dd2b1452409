from dataclasses import replace

import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace import visibility as visibility_module
from model.refine.raytrace.light_basis import GaussianLight, HarmonicLight, fibonacci_directions
from model.refine.raytrace.pixel_surface import ShadingPoints
from model.refine.raytrace.transport import TransportConfig, build_tables, concatenated
from model.refine.raytrace.transport_tables import TransportTables, shade
from model.refine.raytrace.visibility import diffuse_table, trace_visibility
from model.render import lighting
from tests.model.refine.raytrace.ray_scenes import UP, ball, ball_surface, floor_points, rays_of, wall, wall_share

CONSTANT = HarmonicLight(1)
PLAIN = TransportConfig(glossy_samples=0)


def random_light(count: int = 9, seed: int = 0) -> torch.Tensor:
    light = torch.randn(count, 3, generator=torch.manual_seed(seed)) * 0.3
    light[0] = 1.0
    return light


def test_a_ball_in_constant_light_has_the_radiance_of_its_albedo():
    surface = ball_surface()
    tables = build_tables(surface, rays_of(ball()), CONSTANT, PLAIN)
    albedo = torch.rand(len(surface), 3, generator=torch.manual_seed(0))
    nothing, roughness = torch.zeros(len(surface)), torch.full((len(surface),), 0.45)
    radiance = shade(tables, torch.ones(1, 3), albedo, nothing, roughness)
    torch.testing.assert_close(radiance, albedo, atol=0.012, rtol=0)


def test_a_ball_in_three_bands_of_light_is_shaded_as_the_renderer_shades_it():
    surface, light = ball_surface(), random_light()
    tables = build_tables(surface, rays_of(ball()), HarmonicLight(3), PLAIN)
    expected = lighting.shade(surface.points.normal[None], light[None])[0]
    torch.testing.assert_close(tables.diffuse @ light, expected, atol=0.02, rtol=0)


def test_further_bands_add_what_three_leave_out_of_a_lamp():
    # A lamp as sharp as nine bands make it: the clamped cosine comes out to 3 % at its kink, three bands are 6 % off.
    surface, toward = ball_surface(min_cosine=0.1), torch.tensor([[0.6, 0.0, 0.8]])
    light = HarmonicLight(9).radiance(toward).T.expand(-1, 3) / 4.0
    config = TransportConfig(glossy_samples=0, directions=2048)
    tables = build_tables(surface, rays_of(ball()), HarmonicLight(9), config)
    expected = (surface.points.normal @ toward.T).clamp(min=0.0).expand(-1, 3)
    error = (tables.diffuse @ light - expected).abs()
    assert error.max() < 0.035
    assert (tables.diffuse[:, :9] @ light[:9] - expected).abs().max() > 0.05


@pytest.mark.parametrize(("distance_mm", "height_mm"), [(50.0, 100.0), (100.0, 100.0), (100.0, 30.0), (1.0, 1e5)])
def test_a_wall_hides_its_analytic_share_of_the_sky(distance_mm: float, height_mm: float):
    scene = wall(distance_mm, height_mm)
    seen = trace_visibility(floor_points(), rays_of(scene), 4096)
    expected = 1.0 - wall_share(distance_mm, height_mm)
    assert float(diffuse_table(floor_points(), seen, CONSTANT)[0, 0]) == pytest.approx(expected, abs=0.01)


def test_light_from_behind_the_wall_does_not_arrive_and_from_before_it_does():
    basis, scene = GaussianLight(64), wall(20.0, 1e5)
    table = diffuse_table(floor_points(), trace_visibility(floor_points(), rays_of(scene), 1024), basis)[0]
    unshadowed = diffuse_table(floor_points(), trace_visibility(floor_points(), None, 1024), basis)[0]
    high = basis.axes[:, 1] > 0.3
    behind, before = high & (basis.axes[:, 0] < -0.6), high & (basis.axes[:, 0] > 0.6)
    assert (table[behind] < 0.05 * unshadowed[behind]).all()
    torch.testing.assert_close(table[before], unshadowed[before], atol=0, rtol=0.02)


def test_without_visibility_nothing_throws_a_shadow():
    surface = ball_surface()
    light = HarmonicLight(1)
    # Rays that start inside the ball are all blocked.
    tables = build_tables(surface, rays_of(ball()), light, TransportConfig(visibility=False, glossy_samples=8))
    shadowed = build_tables(surface, _Blocking(), light, TransportConfig(glossy_samples=8))
    assert tables.diffuse.min() > 0.98
    assert tables.specular[:, 0].min() > 0.5
    assert shadowed.diffuse.abs().max() == 0.0
    assert shadowed.specular.abs().max() == 0.0


class _Blocking:
    """Rays that always meet something."""

    def occluded(self, origins_mm, directions, max_distance_mm=None):
        return torch.ones(len(origins_mm), dtype=torch.bool).numpy()

    def first_hit(self, origins_mm, directions):
        raise NotImplementedError


def test_light_below_either_normal_does_not_arrive():
    # The shading normal leans 60 degrees away from the triangle's: only directions above both count.
    leaning = torch.tensor([[0.866, 0.5, 0.0]])
    points = ShadingPoints(torch.zeros(1, 3), leaning, UP[None])
    table = diffuse_table(points, trace_visibility(points, None, 8192), CONSTANT)
    # The hemisphere above a plane tilted by a: (1 + cos a) / 2.
    assert float(table[0, 0]) == pytest.approx(0.5 * (1.0 + 0.5), abs=0.01)


def test_traced_visibility_serves_every_basis():
    surface, rays = ball_surface(), rays_of(ball())
    seen = trace_visibility(surface.points, rays, PLAIN.directions)
    for basis in (HarmonicLight(4), GaussianLight(16)):
        again = build_tables(surface, _Blocking(), basis, PLAIN, visibility=seen)
        assert torch.equal(again.diffuse, build_tables(surface, rays, basis, PLAIN).diffuse)


def test_blocks_change_nothing(monkeypatch):
    surface, basis = ball_surface(), HarmonicLight(3)
    rays = rays_of(ball())
    whole = diffuse_table(surface.points, trace_visibility(surface.points, rays, 64), basis)
    monkeypatch.setattr(visibility_module, "_PAIRS_PER_BLOCK", 1000)
    seen = trace_visibility(surface.points, rays, 64)
    torch.testing.assert_close(diffuse_table(surface.points, seen, basis), whole)


def test_more_directions_come_nearer_to_the_truth():
    points = floor_points()
    distances = torch.linspace(10.0, 200.0, 12).tolist()
    error = {count: 0.0 for count in (32, 512)}
    for count in error:
        for distance_mm in distances:
            seen = trace_visibility(points, rays_of(wall(distance_mm, 100.0)), count)
            share = float(diffuse_table(points, seen, CONSTANT)[0, 0])
            error[count] += abs(share - 1.0 + wall_share(distance_mm, 100.0)) / len(distances)
    assert error[512] < 0.01
    assert error[512] < 0.5 * error[32]


def test_tables_of_several_lights_join_into_one():
    surface, rays = ball_surface(12), rays_of(ball())
    config = TransportConfig(directions=64, glossy_samples=4)
    one, two = (build_tables(surface, rays, basis, config) for basis in (HarmonicLight(2), GaussianLight(8)))
    both = concatenated(one, two)
    light = torch.rand(12, 3, generator=torch.manual_seed(0))
    albedo, plain = torch.full((len(surface), 3), 0.3), torch.full((len(surface),), 0.04)
    rough = torch.full_like(plain, 0.4)
    torch.testing.assert_close(
        shade(both, light, albedo, plain, rough),
        shade(one, light[:4], albedo, plain, rough) + shade(two, light[4:], albedo, plain, rough),
    )


def test_a_light_whose_reflections_are_wider_keeps_them_when_joined():
    surface, rays = ball_surface(12), rays_of(ball())
    config = TransportConfig(directions=64, glossy_samples=4)
    plain, wide = (build_tables(surface, rays, basis, config) for basis in (HarmonicLight(2), GaussianLight(8)))
    narrow = build_tables(surface, rays, GaussianLight(16), replace(config, glossy_samples=0))
    wider = replace(wide, diffuse=narrow.diffuse, spread=torch.rand(8, 16, generator=torch.manual_seed(1)))
    light = torch.rand(20, 3, generator=torch.manual_seed(0))
    albedo, f0 = torch.full((len(surface), 3), 0.3), torch.full((len(surface),), 0.04)
    rough = torch.full_like(f0, 0.4)
    torch.testing.assert_close(
        shade(concatenated(plain, wider), light, albedo, f0, rough),
        shade(plain, light[:4], albedo, f0, rough) + shade(wider, light[4:], albedo, f0, rough),
    )


def test_tables_that_do_not_belong_together_are_not_joined():
    surface, rays = ball_surface(12), rays_of(ball())
    config = TransportConfig(directions=64, bounce_directions=16, glossy_samples=0)
    tables = build_tables(surface, rays, CONSTANT, config)
    fewer = build_tables(surface.kept(torch.arange(len(surface)) > 3), rays, CONSTANT, config)
    with pytest.raises(ValueError, match="same samples"):
        concatenated(tables, fewer)
    bounced = build_tables(surface, rays, CONSTANT, config, torch.full((len(ball().vertices_mm), 3), 0.5))
    with pytest.raises(ValueError, match="bounce"):
        concatenated(tables, bounced)


def test_gradients_of_shading_are_those_of_finite_differences():
    generator = torch.manual_seed(0)
    shape = (5, 3, 4)
    tables = TransportTables(
        torch.rand(5, 4, generator=generator).double(),
        torch.rand(5, 4, 3, generator=generator).double(),
        torch.rand(shape, generator=generator).double(),
        torch.rand(shape, generator=generator).double(),
        torch.tensor([0.2, 0.4, 0.8]).double(),
    )
    inputs = [
        torch.rand(*size, generator=generator, dtype=torch.float64, requires_grad=True)
        for size in ((4, 3), (5, 3), (5,))
    ]
    roughness = torch.tensor([0.25, 0.3, 0.5, 0.6, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *values: shade(tables, *values), (*inputs, roughness))


def test_tables_move_to_another_device():
    surface = ball_surface(12)
    config = TransportConfig(directions=64, bounce_directions=16, glossy_samples=0)
    moved = build_tables(surface, rays_of(ball()), CONSTANT, config).to(torch.device("meta"))
    assert moved.bounce is None
    assert moved.diffuse.is_meta
    assert moved.grazing.is_meta
    assert moved.roughness_levels.is_meta


@pytest.mark.parametrize(
    "wrong",
    [
        {"directions": 4},
        {"roughness_levels": (0.5, 0.4)},
        {"roughness_levels": (0.5,)},
        {"roughness_levels": (0.0, 0.5)},
        {"glossy_samples": -1},
    ],
)
def test_settings_that_make_no_tables_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TransportConfig(**wrong)


def test_directions_stand_for_equal_shares_of_the_sphere():
    # What the quadrature rests on: the mean over the lattice is the mean over the sphere.
    directions = fibonacci_directions(512).double()
    assert float(directions[:, 2].square().mean()) == pytest.approx(1.0 / 3.0, abs=1e-4)
    assert float(directions[:, 0].clamp(min=0.0).mean()) == pytest.approx(0.25, abs=1e-3)
