from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace import light_setup
from model.refine.raytrace.config import LightConfig
from model.refine.raytrace.light_basis import GaussianLight, HarmonicLight
from model.refine.raytrace.light_setup import LightSetup, spread
from model.refine.raytrace.pixel_surface import pixel_surface
from model.refine.raytrace.transport_tables import TransportTables, shade
from model.refine.raytrace.visibility import diffuse_table, trace_visibility
from tests.model.refine.raytrace.ray_scenes import ball, ball_surface, camera, geometry, rays_of

MIDDLE_MM = torch.tensor([0.0, 0.0, -800.0])
SIZE = 20
KINDS = ("harmonics", "gaussians", "stage")


def config(
    kind: str = "gaussians", *, visibility: bool = True, bounce: bool = False, gaussians: int = 96
) -> LightConfig:
    return LightConfig(
        kind=kind,  # pyright: ignore[reportArgumentType]
        bands=4,
        gaussians=gaussians,
        wide_gaussians=24,
        lamps=24,
        directions=512,
        visibility=visibility,
        bounce=bounce,
    )


def nosed_ball_tables(settings: LightConfig, cache: Path | None = None) -> TransportTables:
    """The ball with a smaller one before it."""
    big, count = ball(4), len(ball(4).vertices_mm)
    small = 0.2 * (big.vertices_mm.numpy() - (0.0, 0.0, -800.0)) + (0.0, 0.0, -690.0)
    faces = big.faces.numpy()
    scene = geometry(np.concatenate((big.vertices_mm.numpy(), small)), np.concatenate((faces, faces + count)))
    rays = rays_of(scene)
    surface = pixel_surface(scene, rays, camera(SIZE), SIZE, min_cosine=0.2)
    albedo = torch.full((len(scene.vertices_mm), 3), 0.5)
    return LightSetup(settings, MIDDLE_MM).tables(surface, rays, albedo, cache)


def test_light_from_everywhere_is_spread_to_light_from_everywhere():
    narrow, wide = GaussianLight(512), GaussianLight(64)
    shares = spread(wide, narrow)
    found = shares @ torch.ones(512)
    torch.testing.assert_close(found, torch.ones(64), atol=0.1, rtol=0)
    assert float(found.mean()) == pytest.approx(1.0, abs=1e-5)


def test_spread_light_is_as_much_and_comes_from_there():
    narrow, wide = GaussianLight(512), GaussianLight(64)
    light = torch.rand(512, 3, generator=torch.Generator().manual_seed(0))
    shares = spread(wide, narrow)
    torch.testing.assert_close((shares @ light).mean(0), light.mean(0))
    assert float(shares.min()) >= 0.0
    # The middle of each lobe's share lies where the lobe does.
    toward = torch.nn.functional.normalize(shares.T @ wide.axes, dim=1)
    assert float((toward * narrow.axes).sum(1).min()) > 0.95


def test_a_lobe_lights_nearly_alike_by_narrow_and_by_wide_tables():
    points = ball_surface(12).points
    seen = trace_visibility(points, None, 2048)
    narrow, wide = GaussianLight(256), GaussianLight(64)
    shares = spread(wide, narrow)
    by_narrow = diffuse_table(points, seen, narrow)
    by_wide = diffuse_table(points, seen, wide) @ shares
    strongest = by_narrow.max(0).values
    lighting = strongest > 0.5 * float(strongest.max())
    error = (by_wide - by_narrow)[:, lighting].abs().max(0).values
    assert int(lighting.sum()) > 50
    assert float((error / strongest[lighting]).max()) < 0.25
    assert float((error / strongest[lighting]).mean()) < 0.12


def test_only_lobes_can_be_spread():
    with pytest.raises(TypeError, match="HarmonicLight"):
        spread(GaussianLight(8), HarmonicLight(2))


def test_what_is_known_of_each_kind_of_light():
    for kind in ("gaussians", "stage"):
        space = LightSetup(config(kind), MIDDLE_MM).space
        assert space.nonnegative
        assert space.radiance is None
        assert space.band is None
    space = LightSetup(config("harmonics"), MIDDLE_MM).space
    assert not space.nonnegative
    assert space.band is not None
    assert space.radiance is not None
    assert space.band.tolist() == [0] + 3 * [1] + 5 * [2] + 7 * [3]
    assert space.radiance.shape == (256, 16)
    # Constant light is positive all around, a strong second function is not.
    light = torch.zeros(16)
    light[0] = 1.0
    assert float((space.radiance @ light).min()) > 0.0
    light[1] = 3.0
    assert float((space.radiance @ light).min()) < 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_shadows_only_take_light_away(kind: str):
    with_shadows, without = (nosed_ball_tables(config(kind, visibility=seen)) for seen in (True, False))
    count = with_shadows.diffuse.shape[1]
    # The harmonics' constant is the light from everywhere; of the others all together are.
    light = torch.zeros(count, 3)
    light[: 1 if kind == "harmonics" else count] = 1.0
    shadowed, plain = with_shadows.diffuse @ light, without.diffuse @ light
    assert float((shadowed - plain).max()) < 1e-5
    assert float((shadowed / plain.clamp(min=1e-3)).min()) < 0.9
    assert (plain > 0.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_head_that_throws_light_back_is_brighter_but_not_without_shadows(kind: str):
    assert nosed_ball_tables(config(kind)).bounce is None
    assert nosed_ball_tables(config(kind, bounce=True, visibility=False)).bounce is None
    bounce = nosed_ball_tables(config(kind, bounce=True)).bounce
    assert bounce is not None
    assert float(bounce.abs().max()) > 0.0


@pytest.mark.parametrize("kind", ["gaussians", "stage"])
def test_constant_light_shows_the_albedo(kind: str):
    tables = nosed_ball_tables(config(kind, visibility=False))
    samples, lights = tables.diffuse.shape
    albedo = torch.rand(samples, 3, generator=torch.Generator().manual_seed(0))
    nothing, light = torch.zeros(samples), torch.zeros(lights, 3)
    # A stage's surroundings come last; all its lamps together do not quite surround the head.
    light[-1 if kind == "stage" else 0 :] = 1.0
    tables = tables.part(torch.arange(samples))
    radiance = shade(tables, light, albedo, nothing, torch.full((samples,), 0.45)) - shade(
        tables, light, torch.zeros_like(albedo), nothing, torch.full((samples,), 0.45)
    )
    torch.testing.assert_close(radiance, albedo, atol=0.06, rtol=0)


def test_tables_of_lobes_have_narrow_lights_and_wide_reflections():
    tables = nosed_ball_tables(config(bounce=True))
    assert tables.spread is not None
    assert tables.bounce is not None
    assert tables.diffuse.shape[1] == 96
    assert tables.specular.shape[2] == tables.grazing.shape[2] == tables.bounce.shape[1] == 24
    assert tables.spread.shape == (24, 96)


@pytest.mark.slow
def test_unchanged_light_is_traced_once_and_changed_light_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    traced, build_tables = [], light_setup.build_tables
    monkeypatch.setattr(light_setup, "build_tables", lambda *given: traced.append(given) or build_tables(*given))
    first = nosed_ball_tables(config(), tmp_path)
    again = nosed_ball_tables(config(), tmp_path)
    assert len(traced) == 1
    torch.testing.assert_close(first.diffuse, again.diffuse, atol=1e-3, rtol=1e-3)
    assert again.spread is not None
    changed = [
        config(gaussians=100),
        config(visibility=False),
        config(bounce=True),
        LightConfig(gaussians=96, wide_gaussians=25, directions=512, bounce=False),
        LightConfig(gaussians=96, wide_gaussians=24, directions=520, bounce=False),
    ]
    for count, settings in enumerate(changed, start=2):
        nosed_ball_tables(settings, tmp_path)
        assert len(traced) == count
    nosed_ball_tables(config("harmonics"), tmp_path)
    assert len(traced) == len(changed) + 2


def test_the_environment_is_the_distant_light_and_never_negative():
    for kind, light in (("gaussians", torch.ones(96, 3)), ("harmonics", torch.eye(16)[:, :1].expand(-1, 3))):
        picture = LightSetup(config(kind), MIDDLE_MM).environment_linear(light)
        assert picture.shape == (128, 256, 3)
        torch.testing.assert_close(picture, torch.ones(128, 256, 3), atol=0.2, rtol=0)
    dark = torch.zeros(16, 3)
    dark[2] = 1.0
    assert float(LightSetup(config("harmonics"), MIDDLE_MM).environment_linear(dark).min()) == 0.0


def test_a_stages_lamps_are_not_part_of_its_environment():
    setup, light = LightSetup(config("stage"), MIDDLE_MM), torch.zeros(25, 3)
    light[3] = 2.0
    assert float(setup.environment_linear(light).max()) == 0.0
    lamps = setup.lamps(light)
    assert [index for index, lamp in enumerate(lamps) if lamp.radiance_linear.max() > 0.0] == [3]
    assert len(lamps) == 24
    light[-1] = torch.tensor([0.3, 0.2, 0.1])
    found = setup.environment_linear(light)
    torch.testing.assert_close(found, light[-1].expand_as(found))
    assert LightSetup(config("gaussians"), MIDDLE_MM).lamps(torch.ones(96, 3)) == ()
