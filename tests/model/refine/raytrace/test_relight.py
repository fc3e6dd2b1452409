import math

import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.look.appearance import Lamp
from model.refine.raytrace.environments import ENVIRONMENTS, turning_light
from model.refine.raytrace.light_basis import GaussianLight, environment, latlong_directions
from model.refine.raytrace.light_stage import LightStage
from model.refine.raytrace.pixel_surface import PixelSurface, pixel_surface
from model.refine.raytrace.ray_queries import RayQueries
from model.refine.raytrace.relight import RelightConfig, SurfaceReflectance, environment_samples, relight
from model.refine.raytrace.transport import TransportConfig, build_tables
from model.refine.raytrace.transport_tables import shade
from tests.model.refine.raytrace.ray_scenes import ball, ball_surface, camera, geometry, rays_of

SIZE = 24
MATT = RelightConfig(directions=1024)


def reflectance(surface: PixelSurface, f0: float = 0.04, albedo: float = 0.5) -> SurfaceReflectance:
    count = len(surface)
    return SurfaceReflectance(torch.full((count, 3), albedo), torch.full((count,), f0), torch.full((count,), 0.45))


def nosed_ball() -> tuple[PixelSurface, RayQueries]:
    """The ball with a smaller one before it, which throws a shadow."""
    big, count = ball(4), len(ball(4).vertices_mm)
    small = 0.2 * (big.vertices_mm.numpy() - (0.0, 0.0, -800.0)) + (0.0, 0.0, -690.0)
    scene = geometry(
        np.concatenate((big.vertices_mm.numpy(), small)),
        np.concatenate((big.faces.numpy(), big.faces.numpy() + count)),
    )
    rays = rays_of(scene)
    return pixel_surface(scene, rays, camera(SIZE), SIZE, min_cosine=0.2), rays


@pytest.mark.slow
def test_it_draws_what_the_tables_shade():
    surface, rays = nosed_ball()
    basis = GaussianLight(32)
    light = torch.rand(32, 3, generator=torch.manual_seed(0))
    albedo = torch.full((len(surface.geometry.vertices_mm), 3), 0.5)
    config = TransportConfig(directions=1024, glossy_samples=64, bounce_directions=256)
    skin = reflectance(surface)
    tables = build_tables(surface, rays, basis, config, albedo)
    expected = surface.pixel_mean(shade(tables, light, skin.albedo_linear, skin.f0, skin.roughness))
    drawn = relight(
        surface,
        rays,
        skin,
        environment(basis, light, 64, 128),
        config=RelightConfig(2048, 16, 256),
        vertex_albedo=albedo,
    )
    assert expected.max() > 0.3
    error = (drawn - expected).abs()
    assert error.max() < 0.05
    assert error.mean() < 0.004
    # And it would notice: without shadows, bounce or reflection the picture is another one.
    unshadowed = build_tables(surface, rays, basis, TransportConfig(1024, visibility=False))
    other = surface.pixel_mean(shade(unshadowed, light, skin.albedo_linear, skin.f0, skin.roughness))
    assert (other - expected).abs().max() > 0.1


def test_it_draws_lamps_as_the_light_stage_does():
    surface, rays = nosed_ball()
    stage = LightStage(surface.geometry.middle_mm, lamps=6, samples=24)
    light = torch.rand(6, 3, generator=torch.manual_seed(0))
    skin = reflectance(surface)
    expected = surface.pixel_mean(
        shade(build_tables(surface, rays, stage, TransportConfig()), light, skin.albedo_linear, skin.f0, skin.roughness)
    )
    drawn = relight(surface, rays, skin, lamps=stage.lamps(light))
    torch.testing.assert_close(drawn, expected, atol=0.003, rtol=0.01)


def test_a_sun_of_one_pixel_lights_like_a_distant_lamp():
    surface = ball_surface(SIZE)
    sky = torch.zeros(32, 64, 3)
    sky[10, 60] = torch.tensor([3.0, 2.0, 1.0]) * 100.0
    towards = latlong_directions(32, 64)[10, 60]
    edges = math.cos(math.pi * 10 / 32) - math.cos(math.pi * 11 / 32)
    irradiance = sky[10, 60] * edges * 2 * math.pi / 64
    drawn = relight(surface, rays_of(ball()), reflectance(surface, f0=0.0), sky, config=MATT)
    cosine = surface.pixel_mean((surface.points.normal @ towards).clamp(min=0.0)[:, None])
    expected = 0.5 * cosine * irradiance / math.pi
    # Schlick's term glances even at f0 = 0; look where it does not.
    facing = (surface.coverage() > 0) & (surface.pixel_mean((surface.view @ towards)[:, None])[..., 0] > 0.0)
    facing &= cosine[..., 0] > 0.5
    assert facing.any()
    torch.testing.assert_close(drawn[facing], expected[facing], rtol=0.05, atol=0.01)


def test_samples_of_an_environment_hold_all_of_its_light():
    picture = torch.rand(16, 32, 3, generator=torch.manual_seed(0)) ** 8
    directions, radiance, solid_angle = environment_samples(picture, 4096)
    polar = (torch.arange(16) + 0.5) * math.pi / 16
    whole = (picture * polar.sin()[:, None, None]).sum((0, 1)) * (math.pi / 16) * (2 * math.pi / 32)
    torch.testing.assert_close((radiance * solid_angle[:, None]).sum(0), whole, rtol=0.03, atol=0)
    assert float(solid_angle.sum()) == pytest.approx(4 * math.pi, rel=0.05)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(4096))


def test_samples_go_where_the_light_is():
    picture = torch.full((16, 32, 3), 0.01)
    picture[4, 20] = 100.0
    directions, _, _ = environment_samples(picture, 1000)
    near = directions @ latlong_directions(16, 32)[4, 20] > 0.999
    assert 700 < near.sum() < 850


def test_darkness_is_black_and_the_background_too():
    surface = ball_surface(SIZE)
    assert relight(surface, rays_of(ball()), reflectance(surface), torch.zeros(8, 16, 3)).abs().max() == 0.0
    assert relight(surface, rays_of(ball()), reflectance(surface)).abs().max() == 0.0
    lit = relight(surface, rays_of(ball()), reflectance(surface), torch.ones(8, 16, 3), config=RelightConfig(64))
    assert (lit[surface.coverage() == 0] == 0).all()
    assert (lit[surface.coverage() == 1] > 0.4).all()


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_environments_are_light_that_exists_of_a_usual_strength(name: str):
    picture = ENVIRONMENTS[name]()
    assert picture.shape == (64, 128, 3)
    assert picture.isfinite().all()
    assert picture.min() >= 0.0
    surface = ball_surface(SIZE)
    drawn = relight(surface, rays_of(ball()), reflectance(surface, 0.0, 1.0), picture, config=RelightConfig(256))
    brightest = drawn.mean(-1).max()
    assert 0.7 < brightest < 1.8


def test_environments_differ_in_where_their_light_is():
    left = {name: (picture := make())[:, :64].sum() / picture.sum() for name, make in ENVIRONMENTS.items()}
    assert left["window"] > 0.6
    assert left["sunset"] < 0.4


def test_the_turning_light_goes_from_left_to_right():
    surface = ball_surface(SIZE)
    balance = []
    for step in range(3):
        lamp = turning_light(step, 3, surface.geometry.middle_mm)
        drawn = relight(surface, rays_of(ball()), reflectance(surface), lamps=[lamp])
        balance.append(float((drawn[:, SIZE // 2 :].sum() - drawn[:, : SIZE // 2].sum()) / drawn.sum()))
    assert balance[0] < -0.5
    assert abs(balance[1]) < 0.05
    assert balance[2] > 0.5
    with pytest.raises(ValueError, match="step 3"):
        turning_light(3, 3, surface.geometry.middle_mm)


def test_a_lamp_of_twice_the_radiance_gives_twice_the_light():
    surface, rays = ball_surface(SIZE), rays_of(ball())
    lamp = turning_light(1, 2, surface.geometry.middle_mm)
    brighter = Lamp(lamp.position_mm, lamp.radius_mm, 2.0 * lamp.radiance_linear)
    one, two = (relight(surface, rays, reflectance(surface), lamps=[some]) for some in (lamp, brighter))
    torch.testing.assert_close(two, 2.0 * one)
    both = relight(surface, rays, reflectance(surface), lamps=[lamp, lamp])
    torch.testing.assert_close(both, two)
