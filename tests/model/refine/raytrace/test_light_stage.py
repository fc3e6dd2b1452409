import math

import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace.light_basis import HarmonicLight
from model.refine.raytrace.light_stage import LightStage, disc_points, stage_tables
from model.refine.raytrace.pixel_surface import ShadingPoints
from model.refine.raytrace.specular import ggx
from model.refine.raytrace.transport import TransportConfig, build_tables, concatenated
from tests.model.refine.raytrace.ray_scenes import ball, ball_surface, geometry, rays_of

MIDDLE = torch.tensor([0.0, 0.0, -800.0])


def card(facing: torch.Tensor, position_mm: torch.Tensor = MIDDLE) -> ShadingPoints:
    return ShadingPoints(position_mm[None], facing[None], facing[None])


def blocker(place_mm: torch.Tensor, half_mm: float = 60.0, shift_mm: float = 0.0):
    """A square on the way to the lamp behind it, moved to one side."""
    axis = torch.nn.functional.normalize(place_mm - MIDDLE, dim=0)
    across = torch.nn.functional.normalize(torch.linalg.cross(axis, torch.tensor([0.0, 1.0, 0.1])), dim=0)
    up = torch.linalg.cross(axis, across)
    middle = place_mm + shift_mm * across
    corners = [middle + half_mm * (a * across + b * up) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return geometry(torch.stack(corners).numpy(), np.array([[0, 1, 2], [0, 2, 3]]))


@pytest.mark.parametrize("distance_mm", [500.0, 1000.0, 2000.0])
def test_a_small_lamp_follows_the_inverse_square_law(distance_mm: float):
    stage = LightStage(MIDDLE, lamps=8, distance_mm=distance_mm, radius_mm=10.0)
    facing = stage.axes[0]
    diffuse, _ = stage_tables(card(facing), None, stage)
    lamp = stage.lamps(torch.eye(8)[:, :1].expand(-1, 3))[0]
    irradiance = float(lamp.radiance_linear[0]) * math.pi * lamp.radius_mm**2 / distance_mm**2
    assert float(diffuse[0, 0]) == pytest.approx(irradiance / math.pi, rel=1e-3)
    # Twice as near to the lamp, four times the light; tilted by 60 degrees, half of it.
    nearer, _ = stage_tables(card(facing, MIDDLE + 0.5 * distance_mm * facing), None, stage)
    assert float(nearer[0, 0] / diffuse[0, 0]) == pytest.approx(4.0, rel=5e-3)
    tilted = torch.nn.functional.normalize(facing + math.sqrt(3.0) * torch.linalg.svd(facing[None])[2][1], dim=0)
    half, _ = stage_tables(card(tilted), None, stage)
    assert float(half[0, 0] / diffuse[0, 0]) == pytest.approx(0.5, rel=5e-3)


def test_a_lamp_shines_to_its_front_only():
    stage = LightStage(MIDDLE, lamps=8, radius_mm=10.0)
    behind = stage.positions_mm[0] + 100.0 * stage.axes[0]
    diffuse, _ = stage_tables(card(-stage.axes[0], behind), None, stage)
    assert float(diffuse[0, 0]) == 0.0


def test_what_stands_before_a_lamp_hides_it_and_what_stands_behind_it_does_not():
    stage = LightStage(MIDDLE, lamps=8, radius_mm=40.0)
    free, _ = stage_tables(card(stage.axes[0]), None, stage)
    before, _ = stage_tables(card(stage.axes[0]), rays_of(blocker(MIDDLE + 500.0 * stage.axes[0])), stage)
    behind, _ = stage_tables(card(stage.axes[0]), rays_of(blocker(MIDDLE + 1100.0 * stage.axes[0])), stage)
    assert float(before[0, 0]) == 0.0
    assert torch.equal(behind, free)
    # An edge on the lamp's axis hides half of the disc: a penumbra, which a point would not have.
    half, _ = stage_tables(card(stage.axes[0]), rays_of(blocker(MIDDLE + 500.0 * stage.axes[0], 60.0, 60.0)), stage)
    assert float(half[0, 0] / free[0, 0]) == pytest.approx(0.5, abs=0.1)


def test_lamps_all_around_with_coefficient_one_are_like_radiance_one():
    stage = LightStage(MIDDLE, lamps=100, distance_mm=3000.0, radius_mm=100.0, samples=4, min_facing=-1.0)
    surface = ball_surface()
    diffuse, _ = stage_tables(surface.points, None, stage)
    torch.testing.assert_close(diffuse.sum(1), torch.ones(len(surface)), atol=0.06, rtol=0)


def test_a_small_lamp_is_reflected_as_ggx_says():
    stage = LightStage(MIDDLE, lamps=8, radius_mm=2.0)
    surface = ball_surface(12)
    diffuse, glossy = stage_tables(surface.points, None, stage, surface.view, (0.3, 0.6))
    towards = torch.nn.functional.normalize(stage.positions_mm[None] - surface.points.position_mm[:, None], dim=-1)
    n_w = (towards * surface.points.normal[:, None]).sum(-1)
    n_v, v_w = (surface.points.normal * surface.view).sum(-1, keepdim=True), (towards * surface.view[:, None]).sum(-1)
    for level, roughness in enumerate((0.3, 0.6)):
        value, glancing = ggx(n_v, n_w, v_w, roughness**2)
        expected = math.pi * diffuse * value
        torch.testing.assert_close(glossy.specular[:, level], expected * (1.0 - glancing), rtol=0.01, atol=1e-4)
        torch.testing.assert_close(glossy.grazing[:, level], expected * glancing, rtol=0.02, atol=1e-4)


def test_disc_points_lie_evenly_on_the_discs():
    stage = LightStage(MIDDLE, lamps=24, samples=64)
    points = stage.disc_points()
    offset = points - stage.positions_mm[:, None]
    assert offset.norm(dim=-1).max() <= stage.radius_mm
    assert (offset * stage.axes[:, None]).sum(-1).abs().max() < 0.05
    assert offset.mean(1).norm(dim=-1).max() < 0.1 * stage.radius_mm
    # The mean squared distance from the middle of a disc is half its radius squared.
    assert float(offset.square().sum(-1).mean()) == pytest.approx(0.5 * stage.radius_mm**2, rel=0.01)
    assert torch.equal(points, disc_points(stage.positions_mm, stage.axes, torch.full((24,), stage.radius_mm), 64))


def test_lamps_are_written_with_the_radiance_they_have():
    stage = LightStage(MIDDLE, lamps=8, distance_mm=1000.0, radius_mm=100.0)
    light = torch.arange(-1.0, 7.0)[:, None].expand(-1, 3)
    lamps = stage.lamps(light)
    assert (lamps[0].radiance_linear == 0).all()
    np.testing.assert_allclose(lamps[3].radiance_linear, 2.0 * stage.unit_radiance, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(lamps[5].position_mm - MIDDLE.numpy()), 1000.0, rtol=1e-5)
    assert all(lamp.radius_mm == 100.0 for lamp in lamps)


def test_lamps_stand_on_the_side_that_is_asked_for():
    assert LightStage(MIDDLE, lamps=30, min_facing=0.2).axes[:, 2].min() > 0.2
    assert LightStage(MIDDLE, lamps=30, min_facing=-0.9).axes[:, 2].min() < -0.8


def test_a_stage_makes_tables_that_join_those_of_a_distant_light():
    surface, rays = ball_surface(12), rays_of(ball())
    stage, config = LightStage(MIDDLE, lamps=6, samples=4), TransportConfig(directions=64, glossy_samples=4)
    albedo = torch.full((len(ball().vertices_mm), 3), 0.5)
    tables = concatenated(*(build_tables(surface, rays, light, config, albedo) for light in (HarmonicLight(2), stage)))
    assert tables.diffuse.shape == (len(surface), 10)
    assert tables.bounce is not None
    assert tables.bounce.shape == (len(surface), 10, 3)
    assert tables.specular.shape == (len(surface), 5, 10)
    plain = build_tables(surface, rays, stage, TransportConfig(glossy_samples=0))
    assert plain.specular.shape == (len(surface), 5, 6)
    assert plain.specular.abs().max() == 0.0


@pytest.mark.parametrize(
    "wrong", [{"lamps": 2}, {"samples": 0}, {"radius_mm": 0.0}, {"distance_mm": 100.0}, {"min_facing": 1.0}]
)
def test_stages_that_cannot_light_a_head_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="lamps|min_facing"):
        LightStage(MIDDLE, **wrong)
