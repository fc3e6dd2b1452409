"""The benchmark of inverse rendering: its faces, what is known of them, and how answers are compared."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluation.inverse_rendering import faces as faces_module
from evaluation.inverse_rendering.benchmark import (
    COMPONENTS,
    START,
    FitResult,
    FoundSkin,
    evaluate_inverse_rendering,
    unit_srgb,
)
from evaluation.inverse_rendering.faces import PLANS, BenchmarkFace, RenderSettings, benchmark_faces
from evaluation.inverse_rendering.fits import FULL, WITHOUT_VISIBILITY, as_fit, variants
from evaluation.inverse_rendering.lights import hard_light, smooth_light
from evaluation.inverse_rendering.table import format_inverse_rendering, format_result
from evaluation.inverse_rendering.truth import LEAST_COSINE, TEXEL_GRID, texel_truth
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.look.appearance import Lamp
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.mitsuba.scene import PathTraced
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.pixel_surface import HeadGeometry
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import toy_head, toy_hierarchy

SETTINGS = RenderSettings(size_px=48, samples=4)


def drawn(geometry: HeadGeometry, appearance: Any, intrinsics_px: torch.Tensor, size: int, **_: Any) -> PathTraced:
    """In place of a path tracer: a flat grey head."""
    image = project(geometry.vertices_mm[None], intrinsics_px[None])
    hit = build_rasterizer("cpu").rasterize(image, geometry.faces, size, size).face_index[0] >= 0
    return PathTraced(0.3 * hit[..., None].repeat(1, 1, 3).float(), hit.float())


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(toy_head())


@pytest.fixture(scope="module")
def faces(model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> list[BenchmarkFace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces_module, "render", drawn)
        return benchmark_faces(model, toy_hierarchy(), tmp_path_factory.mktemp("faces"), SETTINGS, 3)


def test_the_plan_is_wide_enough() -> None:
    assert len(PLANS) >= 8
    assert sum(plan.lamps > 0 for plan in PLANS) >= 5
    assert min(plan.tone for plan in PLANS) < 0.1
    assert max(plan.tone for plan in PLANS) >= 0.5


@pytest.mark.slow
def test_faces_have_the_tone_and_the_light_that_was_planned(faces: list[BenchmarkFace]) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    tones = [float((face.texels.diffuse_linear[face.texels.judged] @ weights).mean()) for face in faces]
    assert tones == sorted(tones)
    for face, tone in zip(faces, tones, strict=True):
        assert 0.5 * face.plan.tone < tone < 2.0 * face.plan.tone
        assert len(face.appearance.lamps) == face.plan.lamps
        assert face.photograph_srgb.shape == (48, 48, 3)
        assert face.seen_face.any()


@pytest.mark.slow
def test_exposure_follows_the_light(faces: list[BenchmarkFace]) -> None:
    # The picture was scaled from 0.3: the light that is told must have been scaled with it.
    face = faces[1]
    level = 0.52 * face.plan.tone**0.7
    assert unit_srgb(face)[face.seen_face].mean() == pytest.approx(1.055 * level ** (1 / 2.4) - 0.055, abs=0.02)


@pytest.mark.slow
def test_skin_is_nothing_the_model_can_make_and_not_symmetric(
    faces: list[BenchmarkFace], model: MorphableModel
) -> None:
    log_albedo = np.log(faces[0].texels.diffuse_linear.mean(-1))
    detail = log_albedo - np.roll(log_albedo, 1, axis=1)
    assert detail[faces[0].texels.judged].std() > 0.02
    mirrored = log_albedo[:, ::-1]
    both = faces[0].texels.judged & faces[0].texels.judged[:, ::-1]
    assert (log_albedo - mirrored)[both].std() > 0.05
    assert faces[0].appearance.roughness.std() > 0.01
    assert faces[0].appearance.specular_f0.std() > 0.001


@pytest.mark.slow
def test_faces_are_traced_once(
    model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: list[BenchmarkFace]
) -> None:
    calls = []

    def counted(*arguments: Any, **settings: Any) -> PathTraced:
        calls.append(settings)
        return drawn(*arguments, **settings)

    monkeypatch.setattr(faces_module, "render", counted)
    first = benchmark_faces(model, toy_hierarchy(), tmp_path, SETTINGS, 1)
    again = benchmark_faces(model, toy_hierarchy(), tmp_path, SETTINGS, 1)
    assert len(calls) == 1
    assert np.array_equal(first[0].photograph_srgb, again[0].photograph_srgb)
    assert np.array_equal(first[0].photograph_srgb, faces[0].photograph_srgb)
    benchmark_faces(model, toy_hierarchy(), tmp_path, replace(SETTINGS, samples=5), 1)
    assert len(calls) == 2


@pytest.mark.slow
def test_shadows_are_known(faces: list[BenchmarkFace], model: MorphableModel) -> None:
    face = faces[0]
    mesh = face.truth.mesh(model)
    geometry = HeadGeometry(mesh.vertices_camera_mm[0], model.faces, model.uv, model.uv_faces)

    def truth_in(lamp: Lamp) -> np.ndarray:
        dark = np.full((4, 8, 3), 1e-9, np.float32)
        lit = replace(face.appearance, environment_linear=dark, lamps=(lamp,))
        texels = texel_truth(model, geometry, lit, face.intrinsics_px, 48)
        return texels.lit_share[texels.judged]

    white = np.ones(3, np.float32)
    # A lamp in the camera lights all that the camera sees; one at the side is kept off by the nose.
    assert truth_in(Lamp(np.array([0.0, 0.0, -1.0], np.float32), 1.0, white)).min() > 0.9
    middle = geometry.vertices_mm.mean(0).numpy()
    beside = truth_in(Lamp((middle + np.array([900.0, 100.0, 150.0])).astype(np.float32), 20.0, white))
    assert beside.min() < 1e-3
    assert beside.max() == pytest.approx(1.0)
    assert face.texels.judged.shape == (TEXEL_GRID, TEXEL_GRID)


@pytest.mark.slow
def test_texels_at_grazing_angles_are_not_judged(faces: list[BenchmarkFace], model: MorphableModel) -> None:
    # The toy head's texture runs around it: of 360 degrees the camera sees those within the least cosine.
    columns = faces[0].texels.judged.any(0).mean()
    assert 0.1 < columns < 2.0 * np.degrees(np.arccos(LEAST_COSINE)) / 360.0 + 0.06


def test_lights_are_of_their_kind() -> None:
    head_mm, turned = np.array([0.0, 0.0, -800.0]), np.eye(3)
    for seed in range(5):
        random = np.random.default_rng(seed)
        assert smooth_light(random).lamps == ()
        light = hard_light(random, head_mm, turned, 2)
        assert len(light.lamps) == 2
        assert light.environment_linear.min() > 0.0
        towards = light.lamps[0].position_mm - head_mm
        towards = towards / np.linalg.norm(towards)
        # Before the face, from one side and from above.
        assert towards[2] > 0.3
        assert abs(towards[0]) > 0.3
        assert towards[1] > 0.3
        twice = light.scaled(2.0)
        assert np.allclose(twice.environment_linear, 2.0 * light.environment_linear)
        assert np.allclose(twice.lamps[1].radiance_linear, 2.0 * light.lamps[1].radiance_linear)


def from_truth(model: MorphableModel) -> Callable[[BenchmarkFace], tuple[FaceCrop, FittedFace]]:
    def start(face: BenchmarkFace) -> tuple[FaceCrop, FittedFace]:
        size = len(face.photograph_srgb)
        crop = FaceCrop(
            torch.from_numpy(unit_srgb(face)).permute(2, 0, 1).contiguous(),
            torch.ones(size, size),
            True,
            face.intrinsics_px,
            torch.zeros(68, 2),
            torch.ones(68),
        )
        return crop, face.truth

    return start


def answers(faces: list[BenchmarkFace], model: MorphableModel) -> list[FitResult]:
    """Of three fits: one that knows all, one that paints the shadows, one that gives up."""
    by_picture = {face.photograph_srgb.tobytes(): face for face in faces}

    def face_of(crop: FaceCrop) -> BenchmarkFace:
        return by_picture[np.rint(255.0 * crop.image_srgb.permute(1, 2, 0).numpy()).astype(np.uint8).tobytes()]

    def knowing(crop: FaceCrop, start: FittedFace) -> FoundSkin:
        picture = torch.from_numpy(unit_srgb(face_of(crop)))
        linear = torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
        return FoundSkin(face_of(crop).appearance.diffuse_linear, linear.numpy(), np.ones(linear.shape[:2], bool), "")

    def painting(crop: FaceCrop, start: FittedFace) -> FoundSkin:
        texels = face_of(crop).texels
        black = np.zeros((len(crop.image_srgb[0]), len(crop.image_srgb[0]), 3), np.float32)
        return FoundSkin(texels.diffuse_linear * texels.lit_share[..., None], black, np.ones(black.shape[:2], bool), "")

    fits = {FULL: knowing, WITHOUT_VISIBILITY: painting, "giving up": lambda crop, start: None}
    renderer = Renderer(build_rasterizer("cpu"))
    return list(evaluate_inverse_rendering(faces, model, renderer, from_truth(model), fits))


@pytest.mark.slow
def test_answers_are_compared_with_the_truth(faces: list[BenchmarkFace], model: MorphableModel) -> None:
    results = answers(faces, model)
    assert [result.method for result in results[:5]] == [START, COMPONENTS, FULL, WITHOUT_VISIBILITY, "giving up"]
    start, _, knowing, painting, kept = results[:5]
    assert knowing.figures.albedo_error == pytest.approx(0.0, abs=1e-6)
    assert knowing.figures.psnr_db > 60.0
    assert painting.figures.shadow_imprint == pytest.approx(1.0, abs=0.05)
    assert painting.figures.psnr_db < start.figures.psnr_db < knowing.figures.psnr_db
    # A fit that keeps its start has its start's figures.
    assert kept.figures == start.figures
    assert not kept.accepted
    # The components know nothing of spots and hairs.
    assert start.figures.albedo_error > 0.005


@pytest.mark.slow
def test_the_table_states_the_gains(faces: list[BenchmarkFace], model: MorphableModel) -> None:
    results = answers(faces, model)
    text = format_inverse_rendering(results, FULL, WITHOUT_VISIBILITY)
    assert f"albedo error of {FULL!r} under that of {START!r}: 100.0 % of the means" in text
    assert "better on 3 of 3" in text
    assert "shadow imprint in hard light: 0.000 with visibility, 1.0" in text
    assert "dark (mean albedo below 0.15)" in text
    assert "light (0.3" not in text
    assert "3 kept" in text
    assert "kept its start" in format_result(results[4])
    assert "kept its start" not in format_result(results[3])


def test_each_ablation_takes_out_one_thing() -> None:
    config = RaytraceConfig()
    assert list(variants(config, False)) == [FULL, WITHOUT_VISIBILITY]
    compared = variants(config, True)
    assert compared[FULL] == config
    assert compared[WITHOUT_VISIBILITY] == replace(config, light=replace(config.light, visibility=False))
    assert compared["without symmetry"].weights.symmetry == 0.0
    kinds = {compared[name].light.kind for name in compared}
    assert kinds == {"harmonics", "gaussians", "stage"}
    assert all(
        one != other for number, one in enumerate(compared.values()) for other in list(compared.values())[:number]
    )


@pytest.mark.slow
@pytest.mark.parametrize("accepted", [True, False])
def test_a_stage_that_keeps_its_start_answers_nothing(
    faces: list[BenchmarkFace], model: MorphableModel, accepted: bool
) -> None:
    class Answer:
        appearance = faces[0].appearance
        rendered_linear = torch.zeros(48, 48, 3)
        mask = torch.eye(48)

    def stage(*_: Any) -> tuple[Answer, StageRecord]:
        return Answer(), StageRecord("raytrace", accepted, "because", 0.0)

    crop, start = from_truth(model)(faces[0])
    found = as_fit(stage, model, RaytraceConfig())(crop, start)
    assert (found is not None) == accepted
    if found is not None:
        assert found.diffuse_linear is faces[0].appearance.diffuse_linear
        assert found.reason == "because"
        assert found.drawn.sum() == 48
