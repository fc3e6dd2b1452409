from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.face.detail import Detail
from model.look.appearance import Appearance
from model.refine.face import StageRecord
from model.refine.raytrace import light_setup
from model.refine.raytrace.accept import what_is_wrong
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.raytraced_face import RaytracedFace
from model.refine.raytrace.stage import fit_raytrace
from tests.model.refine.fit_scenes import photograph
from tests.model.refine.raytrace.lit_heads import SIZE_PX, SMALL, LitHead, brimmed_head, lit_head

QUICK = replace(
    SMALL, light=replace(SMALL.light, gaussians=32, directions=128), light_steps=4, texture_steps=6, rounds=1
)


@cache
def fitted(*, color: bool = True) -> tuple[RaytracedFace, StageRecord]:
    scene = lit_head(color=color)
    return fit_raytrace(scene.head, scene.crop, scene.start, SMALL)


def quick(scene: LitHead, config: RaytraceConfig = QUICK, cache: Path | None = None) -> RaytracedFace:
    return fit_raytrace(scene.head, scene.crop, scene.start, config, cache)[0]


def kept(answer: RaytracedFace) -> Appearance:
    assert answer.appearance is not None, "not accepted"
    return answer.appearance


def painted(scene: LitHead, image_srgb: torch.Tensor) -> LitHead:
    return replace(scene, crop=replace(scene.crop, image_srgb=image_srgb))


def assert_finite(answer: RaytracedFace, record: StageRecord) -> None:
    for values in (answer.rendered_linear, answer.albedo_linear, answer.mask):
        assert values.isfinite().all()
    assert np.isfinite(list(record.figures.values())).all()
    assert all(np.isfinite(line).all() for line in record.history.values())


@pytest.mark.slow
def test_less_of_a_cast_shadow_is_left_in_the_albedo_than_without_visibility():
    scene, (answer, _) = lit_head(), fitted()
    blind, _ = fit_raytrace(
        scene.head, scene.crop, scene.start, replace(SMALL, light=replace(SMALL.light, visibility=False))
    )
    without = scene.imprint(blind)
    assert without > 0.15, "the scene has a shadow to be found"
    assert abs(scene.imprint(answer)) < 0.4 * without


@pytest.mark.slow
def test_the_photograph_is_explained_and_the_record_tells_how_well():
    answer, record = fitted()
    assert record.accepted
    assert record.name == "raytrace"
    figures = record.figures
    assert figures["psnr_after_db"] > figures["psnr_statistical_db"] > figures["psnr_start_statistical_db"] + 3.0
    assert figures["psnr_after_db"] > 35.0
    assert f"{figures['psnr_after_db']:.1f} dB" in record.reason
    for term, steps in (("light.distance", 20), ("light.tone", 20), ("texture.symmetry", 60), ("materials.regions", 5)):
        assert len(record.history[term]) == steps * SMALL.rounds
    assert_finite(answer, record)


@pytest.mark.slow
def test_maps_and_light_are_what_the_export_takes():
    appearance = kept(fitted()[0])
    for name in ("diffuse_linear", "specular_f0", "roughness", "known"):
        values = getattr(appearance, name)
        assert values.shape[:2] == (64, 64)
        assert 0.0 <= values.min() <= values.max() <= 1.0
    np.testing.assert_allclose(np.linalg.norm(appearance.normal, axis=-1), 1.0)
    assert appearance.environment_linear.min() >= 0.0
    assert appearance.tone_sd > 0.0
    # The lamp is above: the upper half of the environment brings more light.
    rows = appearance.environment_linear.mean((1, 2))
    assert rows[:64].mean() > 1.5 * rows[64:].mean()


@pytest.mark.slow
def test_shape_pose_and_camera_are_the_starts():
    start, answer = lit_head().start, fitted()[0]
    for name in ("identity", "expression", "rotation", "translation_mm", "lighting"):
        assert torch.equal(getattr(answer.fitted.parameters, name), getattr(start.parameters, name))
    assert torch.equal(answer.fitted.intrinsics_px, start.intrinsics_px)


@pytest.mark.slow
def test_where_light_without_shadows_explains_as_much_the_start_is_kept():
    scene = lit_head()
    crop = photograph(brimmed_head(), scene.start)
    answer, record = fit_raytrace(scene.head, crop, scene.start, QUICK)
    assert answer.appearance is None
    assert answer.fitted is scene.start
    assert not record.accepted
    assert "no better" in record.reason
    assert "the earlier answer is kept" in record.reason


def figures(statistical_db: float, after_db: float, believed_share: float = 0.9) -> dict[str, float]:
    return {
        "believed_share": believed_share,
        "psnr_before_db": 30.0,
        "psnr_start_statistical_db": 25.0,
        "psnr_statistical_db": statistical_db,
        "psnr_after_db": after_db,
    }


@pytest.mark.slow
def test_answers_are_judged_with_the_statistical_albedo_and_may_lose_a_little_of_the_free_one():
    config, good = replace(SMALL, least_gain_db=0.5, most_loss_db=1.0), kept(fitted()[0])
    assert what_is_wrong(figures(25.6, 29.1), good, config) == ""
    assert "no better" in what_is_wrong(figures(25.4, 40.0), good, config)
    assert "worse" in what_is_wrong(figures(40.0, 28.9), good, config)
    assert what_is_wrong(figures(40.0, 28.9), good, replace(config, enough_db=28.5)) == ""


@pytest.mark.slow
def test_a_face_of_which_little_is_seen_is_refused():
    good = kept(fitted()[0])
    assert "only 30 %" in what_is_wrong(figures(40.0, 40.0, believed_share=0.3), good, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffuse_linear", "environment_linear"])
def test_answers_that_are_not_finite_are_refused(name: str):
    good = kept(fitted()[0])
    broken = getattr(good, name).copy()
    broken[3, 4] = np.nan
    assert "not finite" in what_is_wrong(figures(40.0, 40.0), replace(good, **{name: broken}), SMALL)


def test_too_small_a_face_is_refused_with_numbers():
    scene = lit_head()
    far = replace(scene.start.parameters, translation_mm=torch.tensor([[0.0, 0.0, -4500.0]]))
    with pytest.raises(ValueError, match=r"shows \d+ pixels of skin, 200 are needed"):
        fit_raytrace(scene.head, scene.crop, replace(scene.start, parameters=far), QUICK)


@pytest.mark.slow
def test_unchanged_inputs_are_traced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    traced, build_tables = [], light_setup.build_tables
    monkeypatch.setattr(light_setup, "build_tables", lambda *given: traced.append(given) or build_tables(*given))
    scene = lit_head()
    first, second, third = (quick(scene, cache=tmp_path) for _ in range(3))
    assert len(traced) == 1
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(second.albedo_linear, third.albedo_linear)
    torch.testing.assert_close(first.albedo_linear, second.albedo_linear, atol=0.02, rtol=0)
    quick(scene, replace(QUICK, light=replace(QUICK.light, gaussians=40)), tmp_path)
    moved = replace(scene.start.parameters, translation_mm=scene.start.parameters.translation_mm + 1.0)
    quick(replace(scene, start=replace(scene.start, parameters=moved)), cache=tmp_path)
    assert len(traced) == 3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer():
    scene = lit_head()
    first, second = quick(scene), quick(scene)
    assert torch.equal(first.rendered_linear, second.rendered_linear)
    assert np.array_equal(kept(first).diffuse_linear, kept(second).diffuse_linear)
    other = quick(scene, replace(QUICK, seed=1))
    assert not torch.equal(first.rendered_linear, other.rendered_linear)


@pytest.mark.slow
def test_black_and_white_gives_grey_light_and_no_colour_of_its_own_to_the_skin():
    answer, record = fitted(color=False)
    environment = kept(answer).environment_linear
    np.testing.assert_allclose(environment, environment[..., :1].repeat(3, axis=-1), atol=1e-6)
    assert record.accepted
    assert_finite(answer, record)
    scene = lit_head()
    statistical = scene.head.albedo_linear(answer.fitted.parameters.albedo)[0]
    expected = scene.surface.pixel_mean(scene.surface.interpolate(statistical))
    compared = answer.mask > 0.9
    factor = (answer.albedo_linear / expected)[compared]
    assert float(factor.std(0).min()) > 1e-3, "there is a texture"
    torch.testing.assert_close(factor, factor[:, :1].expand(-1, 3), atol=1e-3, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("window", ["black", "white", "noise"])
@pytest.mark.parametrize("color", [True, False])
def test_windows_without_a_face_give_no_nan(window: str, color: bool):
    scene = lit_head(color=color)
    noise = torch.rand(3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(0))
    image = {"black": torch.zeros_like(noise), "white": torch.ones_like(noise), "noise": noise}[window]
    if not color:
        image = image[:1].repeat(3, 1, 1)
    scene = painted(scene, image)
    answer, record = fit_raytrace(scene.head, scene.crop, scene.start, QUICK)
    assert_finite(answer, record)
    if answer.appearance is not None:
        for name in ("diffuse_linear", "environment_linear", "roughness", "known"):
            assert np.isfinite(getattr(answer.appearance, name)).all()
    else:
        assert answer.fitted is scene.start


@pytest.mark.slow
def test_what_is_not_the_face_is_not_compared():
    scene = lit_head()
    image, inside = scene.crop.image_srgb.clone(), scene.crop.inside.clone()
    image[:, 36:44, 24:32] = torch.tensor([0.0, 0.2, 1.0])[:, None, None]
    inside[:, 40:] = 0.0
    unoccluded = torch.ones(SIZE_PX, SIZE_PX)
    unoccluded[50:] = 0.0
    start = replace(scene.start, unoccluded=unoccluded)
    mask = quick(replace(scene, crop=replace(scene.crop, image_srgb=image, inside=inside), start=start)).mask
    seen = quick(scene).mask
    for hidden in (mask[38:42, 26:30], mask[:, 41:], mask[50:]):
        assert float(hidden.max()) < 0.05
    assert float(seen[38:42, 26:30].mean()) > 0.9
    assert float(mask[46:49, 26:36].mean()) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["harmonics", "stage"])
@pytest.mark.parametrize("materials", ["held", "free"])
def test_every_kind_of_light_and_of_materials_finds_an_answer(kind: str, materials: str):
    light = replace(QUICK.light, kind=kind, bands=4, lamps=24, bounce=True)
    scene = lit_head()
    answer, record = fit_raytrace(scene.head, scene.crop, scene.start, replace(QUICK, light=light, materials=materials))
    assert_finite(answer, record)
    assert record.figures["psnr_after_db"] > record.figures["psnr_before_db"] + 3.0
    assert len(kept(answer).lamps) == (24 if kind == "stage" else 0)
    assert ("materials.distance" in record.history) == (materials == "free")


@pytest.mark.slow
def test_shadows_in_the_starts_free_albedo_are_painted_over():
    scene = lit_head()
    count = len(scene.head.mirror)
    shadow = torch.zeros(1, count, 3)
    shadow[:, ::2] = -0.2
    detail = Detail(torch.zeros(1, count, 3), shadow, torch.ones(1, count), torch.ones(1, count))
    answer = quick(replace(scene, start=replace(scene.start, detail=detail)))
    kept(answer)
    albedo = answer.fitted.mesh(scene.head).albedo_linear[0]
    assert 0.0 <= float(albedo.min()) <= float(albedo.max()) <= 1.0
    assert abs(float(albedo[::2].mean() - albedo[1::2].mean())) < 0.03
