from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.export.appearance import Appearance
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals
from model.refine.face import FittedFace, StageRecord
from model.refine.raytrace.config import LightConfig
from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.light_setup import LightSetup
from model.refine.raytrace.pixel_surface import HeadGeometry, pixel_surface
from model.refine.raytrace.raytraced_face import RaytracedFace, RaytracedState
from model.refine.raytrace.shape import fit_shape, moved_face, statistical_psnr_db
from model.refine.raytrace.shape_config import ShapeConfig
from model.refine.raytrace.shape_heights import Heights, irradiance_slope
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.tables import TransportTables
from model.render.lighting import shade
from tests.model.refine.fit_scenes import drawn_face
from tests.small_world import crop_camera, toy_head

SIZE_PX = 96
ALBEDO = torch.tensor([0.5, 0.35, 0.25])
LIGHT = torch.zeros(9, 3)
LIGHT[0] = 1.0
LIGHT[1:4] = torch.tensor([0.15, 0.35, 0.15])[:, None]
FREE = ShapeConfig(
    steps=100, texture_rate=0.0, size=1e-4, smoothness=1e-4, symmetry=0.0, stiffness=3.0, height_sd_mm=3.0
)
"""On a head of 300 vertices, whose neighbours are 15 mm apart."""


@cache
def head() -> MorphableModel:
    return MorphableModel(toy_head())


@cache
def face() -> FittedFace:
    return replace(drawn_face(head(), yaw_rad=0.0), refinement=None, intrinsics_px=crop_camera(1, SIZE_PX, 3.0)[0])


def bump_mm() -> torch.Tensor:
    """One on the subject's left cheek, 3 mm high."""
    distance_mm = (head().mean_mm - head().mean_mm.new_tensor([30.0, -25.0, 65.0])).norm(dim=-1)
    return 3.0 * torch.exp(-0.5 * (distance_mm / 20.0).square())[:, None]


@cache
def state(bumpy: bool = True) -> RaytracedState:
    """Light and skin as they are, on a smooth head; the photograph may show a bump."""
    vertices_mm = face().mesh(head()).vertices_camera_mm[0]
    geometry = HeadGeometry(vertices_mm, head().faces, head().uv, head().uv_faces)
    rays = EmbreeRays(vertices_mm.numpy(), head().faces.numpy())
    front = head().region("face")[head().faces.long()].all(1)
    surface = pixel_surface(geometry, rays, face().intrinsics_px, SIZE_PX, keep_faces=front, min_cosine=0.3)
    count = len(surface)
    shown_mm = vertices_mm + bump_mm() * vertex_normals(vertices_mm[None], head().faces)[0] * bumpy

    def arriving(of_vertices_mm: torch.Tensor) -> torch.Tensor:
        normals = surface.interpolate(vertex_normals(of_vertices_mm[None], head().faces)[0])
        return shade(torch.nn.functional.normalize(normals, dim=-1)[None], LIGHT[None])[0]

    nothing = torch.zeros(count, 3)
    problem = SkinProblem(
        observed_linear=ALBEDO * arriving(shown_mm),
        saturated=torch.zeros(count, 3, dtype=torch.bool),
        weight=torch.ones(count),
        color=True,
        uv=surface.uv,
        albedo_mean=ALBEDO.expand(count, 3),
        albedo_basis=nothing[None],
        regions=torch.ones(count, 1),
        tables=TransportTables(torch.zeros(0, 9), None, torch.zeros(0, 1, 9), torch.zeros(0, 1, 9), torch.ones(1)),
    )
    setup = LightSetup(LightConfig(kind="harmonics", bands=3), geometry.middle_mm)
    return RaytracedState(surface, problem, setup, LIGHT, ALBEDO.expand(count, 3), arriving(vertices_mm), nothing)


def slope() -> torch.Tensor:
    return irradiance_slope(state(), None, 1024)


def raytraced(of: RaytracedState | None) -> RaytracedFace:
    flat = np.zeros((16, 16, 3), np.float32)
    appearance = Appearance(flat, flat[..., 0], flat[..., 0], flat, flat[..., 0], flat, (), 0.0)
    picture = torch.zeros(SIZE_PX, SIZE_PX, 3)
    return RaytracedFace(face(), appearance, picture, picture[..., 0], picture, of)


def refitted(found: RaytracedState, *, accepted: bool = True):
    asked: list[FittedFace] = []

    def refit(moved: FittedFace) -> tuple[RaytracedFace, StageRecord]:
        asked.append(moved)
        return replace(raytraced(found), fitted=moved), StageRecord("raytrace", accepted, "stub", 0.0)

    return refit, asked


def explained() -> RaytracedState:
    """The light and skin of the bump: the photograph itself."""
    return replace(state(), arriving=state().problem.observed_linear / ALBEDO)


def test_the_light_of_bent_normals_is_that_of_the_renderer():
    normals = state().surface.points.normal
    bent = torch.nn.functional.normalize(normals + 0.02 * torch.randn(normals.shape, generator=torch.manual_seed(0)))
    change = torch.einsum("pca,pa->pc", slope(), bent - normals)
    expected = (shade(bent[None], LIGHT[None]) - shade(normals[None], LIGHT[None]))[0]
    # Coarse triangles hide a part of what their smooth normals look at, and that stays hidden.
    plain = (normals * state().surface.points.geometric_normal).sum(-1) > 0.995
    assert int(plain.sum()) > 500
    assert float((change - expected)[plain].square().mean()) < 0.03 * float(expected[plain].square().mean())


def test_gradients_are_those_of_finite_differences():
    heights = Heights(head(), state(), slope(), FREE)
    generator = torch.manual_seed(1)
    with torch.no_grad():
        heights.raw += torch.randn(heights.raw.shape, generator=generator)
    torch.stack(list(heights.terms().values())).sum().backward()
    assert heights.raw.grad is not None
    direction = torch.randn(heights.raw.shape, generator=generator) + heights.raw.grad.sign()
    values = []
    with torch.no_grad():
        for step in (0.02, -0.04):
            heights.raw += step * direction
            values.append(float(torch.stack(list(heights.terms().values())).sum().double()))
    expected = (values[0] - values[1]) / 0.04
    assert heights.raw.grad is not None
    assert float((heights.raw.grad * direction).sum()) == pytest.approx(expected, rel=0.02)


def test_a_bump_is_found_under_known_light():
    found_mm = Heights(head(), state(), slope(), FREE).run({})
    at_samples = state().surface.interpolate(torch.cat((found_mm, bump_mm()), dim=1))
    found, true = at_samples.T
    assert float(torch.corrcoef(at_samples.T)[0, 1]) > 0.8
    assert float((found - true).square().mean()) < 0.4 * float(true.square().mean())
    assert float(found.max()) > 1.0


def test_nothing_moves_where_everything_is_explained():
    found_mm = Heights(head(), state(bumpy=False), slope(), FREE).run({})
    assert float(found_mm.abs().max()) < 0.05


def test_only_the_faces_skin_moves():
    found_mm = Heights(head(), state(), slope(), FREE).run({})
    assert not found_mm[~head().region("face")].any()


def test_a_color_that_no_shape_makes_goes_into_the_texture():
    smooth = state(bumpy=False)
    spot = ((smooth.surface.uv - smooth.surface.uv.mean(0)).norm(dim=-1) < 0.1)[:, None]
    observed = smooth.problem.observed_linear * torch.where(spot, torch.tensor([1.0, 0.6, 0.6]), torch.ones(3))
    painted = replace(smooth, problem=replace(smooth.problem, observed_linear=observed))
    left = []
    for rate in (0.02, 0.0):
        heights = Heights(head(), painted, slope(), replace(FREE, texture_rate=rate))
        found_mm = heights.run({})
        with torch.no_grad():
            left.append(float(painted.problem.distance(heights.radiance(found_mm))))
    assert left[0] < 0.6 * left[1]


def test_a_better_shape_is_kept_with_what_was_found_for_it():
    refit, asked = refitted(explained())
    answer, record = fit_shape(head(), raytraced(state()), FREE, refit)
    assert record.accepted
    assert answer.fitted is asked[0]
    assert asked[0].refinement is not None
    assert float(asked[0].refinement.offsets_mm.norm(dim=-1).max()) > 1.0
    assert record.figures["psnr_gain_db"] > 1.0
    assert len(record.history["shape.distance"]) == FREE.steps


def test_the_skin_that_was_found_is_what_the_moved_shape_starts_with():
    found = raytraced(state())
    parameters = replace(found.fitted.parameters, albedo=found.fitted.parameters.albedo + 1.0)
    refit, asked = refitted(explained())
    fit_shape(head(), replace(found, fitted=replace(found.fitted, parameters=parameters)), FREE, refit)
    torch.testing.assert_close(asked[0].parameters.albedo, parameters.albedo)


def test_a_shape_that_explains_no_more_is_refused():
    refit, asked = refitted(state())
    start = raytraced(state())
    answer, record = fit_shape(head(), start, FREE, refit)
    assert asked
    assert not record.accepted
    assert answer is start
    assert "the earlier shape is kept" in record.reason


def test_a_shape_whose_light_was_refused_is_refused():
    refit, _ = refitted(explained(), accepted=False)
    start = raytraced(state())
    answer, record = fit_shape(head(), start, FREE, refit)
    assert not record.accepted
    assert answer is start
    assert "stub" in record.reason


@pytest.mark.parametrize("limit", [{"most_rms_mm": 0.01}, {"most_mm": 0.1}])
def test_heights_that_cannot_be_are_refused_unasked(limit: dict[str, float]):
    refit, asked = refitted(explained())
    _, record = fit_shape(head(), raytraced(state()), replace(FREE, **limit), refit)
    assert not asked
    assert not record.accepted
    assert "mm" in record.reason


def test_a_face_without_light_is_refused_in_words():
    for nothing in (raytraced(None), replace(raytraced(state()), appearance=None)):
        with pytest.raises(ValueError, match="found no light"):
            fit_shape(head(), nothing, FREE, refitted(explained())[0])


def test_who_leaves_out_the_worst_pixels_is_no_better():
    error = (state().problem.observed_linear - state().radiance()).abs().sum(1)
    choosy = replace(state(), problem=replace(state().problem, weight=(error < error.median()).float()))
    first, second = statistical_psnr_db(state(), choosy)
    assert first == pytest.approx(second)
    assert first > state().problem.psnr_db(state().radiance()) + 1.0


def test_heights_add_to_the_offsets_along_the_normals():
    once = moved_face(head(), face(), bump_mm())
    before, after = (one.mesh(head()).vertices_mm for one in (face(), once))
    moved = ((after - before) * vertex_normals(before, head().faces)).sum(-1)[0]
    torch.testing.assert_close(moved, bump_mm()[:, 0], atol=1e-4, rtol=0)
    twice = moved_face(head(), once, bump_mm())
    assert once.refinement is not None
    assert twice.refinement is not None
    assert float(twice.refinement.offsets_mm.norm(dim=-1).max()) > 4.5


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"directions": 8}, {"height_sd_mm": 0.0}, {"size": -1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=f"shape.{next(iter(wrong))}"):
        ShapeConfig(**wrong)  # pyright: ignore[reportArgumentType]
