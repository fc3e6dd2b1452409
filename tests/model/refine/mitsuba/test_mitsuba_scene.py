"""Path-traced pictures agree with our camera, our maps, our light and our transport tables."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.rotation import rotation_from_euler
from model.look.appearance import Appearance, Lamp
from model.refine.mitsuba import scene as scene_module
from model.refine.mitsuba.scene import render, start_mitsuba
from model.refine.mitsuba.variant import MitsubaUnavailableError, why_unavailable
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_basis import HarmonicLight, LightBasis, environment
from model.refine.raytrace.light_stage import LightStage
from model.refine.raytrace.pixel_surface import HeadGeometry, pixel_surface
from model.refine.raytrace.transport import TransportConfig, build_tables
from model.refine.raytrace.transport_tables import shade
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from tests.model.refine.mitsuba.surface_buffers import surface_buffers
from tests.small_world import toy_head

needs_mitsuba = pytest.mark.skipif(why_unavailable() is not None, reason=why_unavailable() or "")

SIZE, TEXTURE = 64, 32
CAMERA = torch.tensor([[170.0, 0.0, 27.3], [0.0, 170.0, 38.9], [0.0, 0.0, 1.0]])
"""Its principal point lies far from the centre, as in windows of photographs."""


@pytest.fixture(scope="module")
def geometry() -> HeadGeometry:
    model = MorphableModel(toy_head())
    rotation = rotation_from_euler(torch.tensor([[0.5, 0.1, 0.05]]))
    vertices_mm = model.mean_mm @ rotation[0].T + torch.tensor([20.0, 10.0, -700.0])
    return HeadGeometry(vertices_mm, model.faces, model.uv, model.uv_faces)


def appearance(
    environment_linear: Float[Tensor, "rows columns 3"], lamps: tuple[Lamp, ...] = (), f0: float = 0.04
) -> Appearance:
    """A grey head in a light."""
    flat = np.ones((TEXTURE, TEXTURE), np.float32)
    return Appearance(
        diffuse_linear=np.tile(np.array([0.5, 0.4, 0.3], np.float32), (TEXTURE, TEXTURE, 1)),
        specular_f0=f0 * flat,
        roughness=0.45 * flat,
        normal=np.tile(np.array([0.0, 0.0, 1.0], np.float32), (TEXTURE, TEXTURE, 1)),
        known=flat,
        environment_linear=environment_linear.numpy(),
        lamps=lamps,
        tone_sd=0.0,
    )


WHITE = torch.ones(8, 16, 3)
LAMP = Lamp(np.array([300.0, 200.0, -200.0], np.float32), 50.0, np.array([60.0, 50.0, 40.0], np.float32))


@needs_mitsuba
def test_the_camera_sees_what_our_rasterizer_draws(geometry: HeadGeometry) -> None:
    seen = surface_buffers(geometry, CAMERA, SIZE)
    vertices, rasterizer = geometry.vertices_mm[None], build_rasterizer("cpu")
    drawn = rasterizer.rasterize(project(vertices, CAMERA[None]), geometry.faces, SIZE, SIZE)
    hit = drawn.face_index[0] >= 0
    assert (hit & seen.hit).sum() / (hit | seen.hit).sum() > 0.995
    both = hit & seen.hit
    values = torch.cat((vertices, vertex_normals(vertices, geometry.faces)), dim=-1)
    position_mm, normal = rasterizer.interpolate(values, drawn, geometry.faces)[0].split(3, dim=-1)
    assert torch.allclose(position_mm[both], seen.position_mm[both], atol=0.01)
    assert (torch.nn.functional.normalize(normal, dim=-1) * seen.normal).sum(-1)[both].min() > 0.9999
    corners = geometry.uv[geometry.uv_faces.long()[drawn.face_index[0].long().clamp(min=0)]]
    uv = (corners * drawn.barycentric[0][..., None]).sum(-2)
    assert torch.allclose(uv[both], seen.uv[both], atol=1e-4)


@pytest.mark.slow
@needs_mitsuba
def test_maps_lie_where_texture_coordinates_say(geometry: HeadGeometry) -> None:
    across = (np.arange(TEXTURE, dtype=np.float32) + 0.5) / TEXTURE
    u, v = np.meshgrid(across, across[::-1])
    white = replace(appearance(WHITE, f0=0.0), diffuse_linear=np.ones((TEXTURE, TEXTURE, 3), np.float32))
    coloured = replace(white, diffuse_linear=np.stack((u, v, 0.5 + 0.0 * u), axis=-1))
    ratio = (
        render(geometry, coloured, CAMERA, SIZE, samples=64, max_depth=2).image_linear
        / render(geometry, white, CAMERA, SIZE, samples=64, max_depth=2).image_linear
    )
    seen = surface_buffers(geometry, CAMERA, SIZE)
    # Not where the texture is cut open and a pixel shows both sides of the cut.
    inner = seen.hit & (seen.normal[..., 2] > 0.5) & ((seen.uv - 0.5).abs().max(-1).values < 0.4)
    assert inner.sum() > 300
    # Schlick's grazing reflection, which no map takes away, is a few per cent.
    expected = torch.cat((seen.uv, torch.full_like(seen.uv[..., :1], 0.5)), dim=-1)
    assert (ratio - expected)[inner].abs().mean(0).max() < 0.03


def _table_picture(
    geometry: HeadGeometry,
    light: LightBasis | LightStage,
    coefficients: Tensor,
    bounce: bool,
    albedo: Float[Tensor, "3"],
    f0: float,
    roughness: float,
) -> tuple[Float[Tensor, "size size 3"], Float[Tensor, "size size"]]:
    rays = EmbreeRays(geometry.vertices_mm.numpy(), geometry.faces.numpy())
    surface = pixel_surface(geometry, rays, CAMERA, SIZE, samples_per_side=2)
    over_vertices = albedo.expand(len(geometry.vertices_mm), 3) if bounce else None
    tables = build_tables(surface, rays, light, TransportConfig(), over_vertices)
    everywhere = torch.ones(len(surface))
    radiance = shade(tables, coefficients, albedo.expand(len(surface), 3), f0 * everywhere, roughness * everywhere)
    return surface.pixel_mean(radiance), surface.coverage()


def _light(geometry: HeadGeometry, kind: str) -> tuple[LightBasis | LightStage, Tensor, Appearance]:
    torch.manual_seed(0)
    if kind == "stage":
        stage = LightStage(geometry.vertices_mm.mean(0), 20)
        coefficients = torch.rand(20, 3) * (torch.rand(20, 1) > 0.6)
        return stage, coefficients, appearance(torch.zeros(2, 4, 3), stage.lamps(coefficients))
    light = HarmonicLight(4)
    coefficients = torch.cat((torch.full((1, 3), 0.5), 0.02 * torch.randn(15, 3)))
    coefficients[1:4] += torch.tensor([[0.03], [0.08], [0.06]])
    radiance = environment(light, coefficients, 32, 64)
    assert radiance.min() > 0.0
    return light, coefficients, appearance(radiance)


def _psnr_db(
    ours: Float[Tensor, "size size 3"], traced: Float[Tensor, "size size 3"], inner: Float[Tensor, "size size"] | Tensor
) -> float:
    difference = linear_to_srgb(ours.clamp(0.0, 1.0)) - linear_to_srgb(traced.clamp(0.0, 1.0))
    return float(-10.0 * torch.log10(difference[inner].square().mean()))


@pytest.mark.slow
@needs_mitsuba
@pytest.mark.parametrize("kind", ["harmonics", "stage"])
@pytest.mark.parametrize("bounce", [False, True])
def test_the_transport_tables_draw_the_same_picture(geometry: HeadGeometry, kind: str, bounce: bool) -> None:
    light, coefficients, lit = _light(geometry, kind)
    albedo = torch.from_numpy(lit.diffuse_linear[0, 0])
    ours, coverage = _table_picture(geometry, light, coefficients, bounce, albedo, 0.04, 0.45)
    traced = render(geometry, lit, CAMERA, SIZE, samples=512, max_depth=3 if bounce else 2)
    inner = (coverage == 1.0) & (traced.coverage > 0.999)
    assert _psnr_db(ours, traced.image_linear, inner) > 38.0


@pytest.mark.slow
@needs_mitsuba
@pytest.mark.parametrize("roughness", [0.45, 0.8])
def test_reflection_alone_is_that_of_the_tables(geometry: HeadGeometry, roughness: float) -> None:
    light, coefficients, lit = _light(geometry, "harmonics")
    lit = replace(
        lit,
        diffuse_linear=np.zeros_like(lit.diffuse_linear),
        specular_f0=np.full_like(lit.specular_f0, 0.5),
        roughness=np.full_like(lit.roughness, roughness),
    )
    ours, coverage = _table_picture(geometry, light, coefficients, False, torch.zeros(3), 0.5, roughness)
    traced = render(geometry, lit, CAMERA, SIZE, samples=512, max_depth=2).image_linear
    facing = surface_buffers(geometry, CAMERA, SIZE).normal[..., 2]
    # Single pixels are noisy; at grazing angles masking and Fresnel's term count most.
    for least, largest in ((0.2, 0.4), (0.4, 0.7), (0.7, 1.0)):
        ring = (coverage == 1.0) & (facing > least) & (facing <= largest)
        assert float(ours[ring].mean() / traced[ring].mean()) == pytest.approx(1.0, abs=0.015)


@pytest.mark.slow
@needs_mitsuba
def test_lamps_are_light_and_not_things_in_the_way(geometry: HeadGeometry) -> None:
    # One hangs between camera and head, the other behind the head within the picture.
    dim = np.full(3, 1e-6, np.float32)
    lamps = (
        Lamp(np.array([0.0, 0.0, -300.0], np.float32), 100.0, dim),
        Lamp(np.array([-50.0, 50.0, -1500.0], np.float32), 400.0, np.full(3, 9.0, np.float32)),
    )
    with_lamps = render(geometry, appearance(WHITE, lamps), CAMERA, SIZE, samples=64, max_depth=2)
    without = render(geometry, appearance(WHITE), CAMERA, SIZE, samples=64, max_depth=2)
    seen = surface_buffers(geometry, CAMERA, SIZE)
    outside = ~seen.hit & (without.coverage == 0.0)
    assert (with_lamps.coverage[seen.hit] > 0.0).all()
    assert with_lamps.coverage[outside].max() < 0.1
    assert with_lamps.image_linear[outside].max() < 0.1
    frontal = seen.normal[..., 2] > 0.6
    assert torch.allclose(with_lamps.image_linear[frontal], without.image_linear[frontal], atol=1e-3)


@pytest.mark.slow
@needs_mitsuba
def test_light_of_two_kinds_adds_up(geometry: HeadGeometry) -> None:
    def picture(lit: Appearance) -> Float[Tensor, "size size 3"]:
        return render(geometry, lit, CAMERA, SIZE, samples=256).image_linear

    dark = torch.zeros(8, 16, 3)
    both, first, second = (
        picture(lit) for lit in (appearance(WHITE, (LAMP,)), appearance(WHITE), appearance(dark, (LAMP,)))
    )
    assert second.max() > 0.1
    assert (both - first - second).abs().mean() < 0.005
    assert picture(appearance(dark)).abs().max() == 0.0


@pytest.mark.slow
@needs_mitsuba
def test_reflection_follows_its_maps(geometry: HeadGeometry) -> None:
    def mean(f0: float, roughness: float) -> float:
        lit = appearance(torch.zeros(8, 16, 3), (LAMP,), f0)
        lit = replace(lit, roughness=np.full_like(lit.roughness, roughness))
        return float(render(geometry, lit, CAMERA, SIZE, samples=64, max_depth=2).image_linear.max())

    assert mean(0.08, 0.3) > mean(0.04, 0.3) > mean(0.04, 0.6)


@pytest.mark.slow
@needs_mitsuba
def test_the_same_seed_gives_the_same_picture(geometry: HeadGeometry) -> None:
    pictures = [
        render(geometry, appearance(WHITE, (LAMP,)), CAMERA, SIZE, samples=70, seed=seed).image_linear
        for seed in (3, 3, 4)
    ]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


@needs_mitsuba
@pytest.mark.parametrize(("setting", "value"), [("samples", 0), ("max_depth", 1)])
def test_settings_that_trace_nothing_are_refused(geometry: HeadGeometry, setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=setting):
        render(geometry, appearance(WHITE), CAMERA, SIZE, **{setting: value})


@needs_mitsuba
def test_a_camera_without_square_pixels_is_refused(geometry: HeadGeometry) -> None:
    camera = CAMERA.clone()
    camera[1, 1] *= 1.1
    with pytest.raises(ValueError, match="square pixels"):
        render(geometry, appearance(WHITE), camera, SIZE, samples=1)


def test_without_mitsuba_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, geometry: HeadGeometry) -> None:
    start_mitsuba.cache_clear()
    monkeypatch.setattr(scene_module, "why_unavailable", lambda: "install it")
    with pytest.raises(MitsubaUnavailableError, match="install it"):
        render(geometry, appearance(WHITE), CAMERA, SIZE)
    start_mitsuba.cache_clear()
