from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from model.face.detail import Detail
from model.face.morphable_model import MorphableModel
from model.geometry.procrustes import align_similarity
from model.refine.face import FaceCrop, FittedFace
from model.refine.raster.config import RasterFitConfig
from model.refine.raster.fit import fit_raster
from model.refine.raster.levels import compared_vertices, draw, make_level
from model.refine.raster.light import solve_light
from model.refine.raster.offsets import LargeSteps
from model.refine.raster.unknowns import moved_vertices
from model.render.backends import build_rasterizer
from model.render.lighting import shade
from tests.model.refine.fit_scenes import SIZE_PX, drawn_face, model, photograph, turned

QUICK = RasterFitConfig(sizes_px=(32, 64), steps=(30, 30), identity_sd=1.0, albedo_sd=1.0)


@pytest.fixture(scope="module")
def head() -> MorphableModel:
    return model()


def shape_error_mm(head: MorphableModel, face: FittedFace, truth: FittedFace) -> float:
    weight = head.region("face").float()
    found, wanted = face.mesh(head).vertices_mm, truth.mesh(head).vertices_mm
    return float(((align_similarity(found, wanted, weight) - wanted).norm(dim=-1) * weight).sum() / weight.sum())


def finite(face: FittedFace) -> bool:
    values = [*vars(face.parameters).values(), face.intrinsics_px]
    if face.detail is not None:
        values += [face.detail.offsets_mm, face.detail.albedo_linear]
    return all(bool(torch.isfinite(value).all()) for value in values)


def with_occluder(crop: FaceCrop) -> tuple[FaceCrop, Float[Tensor, "size size"]]:
    """A green thing before the subject's right cheek."""
    hidden = torch.zeros(SIZE_PX, SIZE_PX)
    hidden[34:48, 20:32] = 1.0
    green = torch.tensor([0.05, 0.9, 0.1])[:, None, None]
    return replace(crop, image_srgb=torch.where(hidden > 0, green, crop.image_srgb)), hidden


@pytest.mark.slow
def test_a_known_head_is_found_better_than_its_start(head: MorphableModel) -> None:
    for seed in (0, 1):
        truth = drawn_face(head, seed)
        crop, start = photograph(head, truth), turned(truth, 0.06, 3.0)
        found, record = fit_raster(head, crop, start, QUICK)
        assert record.accepted, record.reason
        assert record.figures["psnr_after_db"] > record.figures["psnr_before_db"] + 3.0
        assert record.figures["psnr_statistical_after_db"] > record.figures["psnr_statistical_before_db"]
        assert record.figures["landmarks_after_percent"] < 0.5 * record.figures["landmarks_before_percent"]
        assert shape_error_mm(head, found, truth) < 0.8 * shape_error_mm(head, start, truth)
        assert record.figures["psnr_after_db"] > 30.0
        assert {"photometric", "landmarks", "prior"} <= set(record.history)
        assert len(record.history["prior"]) == sum(QUICK.steps)


@pytest.mark.slow
def test_the_start_itself_is_not_touched(head: MorphableModel) -> None:
    truth = drawn_face(head)
    start = turned(truth, 0.06, 3.0)
    before = {name: value.clone() for name, value in vars(start.parameters).items()}
    fit_raster(head, photograph(head, truth), start, replace(QUICK, steps=(2, 2)))
    for name, value in before.items():
        assert torch.equal(getattr(start.parameters, name), value)


@pytest.mark.slow
def test_an_occluder_is_marked_and_gets_into_neither_skin_nor_shape(head: MorphableModel) -> None:
    truth = drawn_face(head)
    clean = photograph(head, truth)
    crop, hidden = with_occluder(clean)
    found, _ = fit_raster(head, crop, turned(truth, 0.06, 3.0), QUICK)
    mask = found.unoccluded
    assert mask is not None
    assert float(mask[hidden > 0].mean()) < 0.2
    undisturbed, _ = fit_raster(head, clean, turned(truth, 0.06, 3.0), QUICK)
    assert undisturbed.unoccluded is not None
    assert float(undisturbed.unoccluded[hidden > 0].mean()) > 0.8
    assert shape_error_mm(head, found, truth) < 1.2 * shape_error_mm(head, turned(truth, 0.06, 3.0), truth)
    skin = found.mesh(head).albedo_linear[0, head.region("face")]
    # Nothing green: every vertex is redder than it is green, as the model's skin is.
    assert bool((skin[:, 0] > skin[:, 1]).all())


@pytest.mark.slow
def test_a_grey_photograph_gets_white_light_and_keeps_its_skins_colour(head: MorphableModel) -> None:
    truth = drawn_face(head)
    crop, start = photograph(head, truth, color=False), turned(truth, 0.06, 3.0)
    found, record = fit_raster(head, crop, start, QUICK)
    assert record.accepted, record.reason
    lighting = found.parameters.lighting
    torch.testing.assert_close(lighting, lighting.mean(-1, keepdim=True).expand_as(lighting))
    assert found.detail is not None
    residual = found.detail.albedo_linear
    assert float((residual - residual.mean(-1, keepdim=True)).abs().max()) < 0.02
    assert record.figures["psnr_after_db"] > record.figures["psnr_before_db"]


@pytest.mark.slow
def test_a_worse_fit_is_not_taken(head: MorphableModel) -> None:
    truth = drawn_face(head)
    crop = photograph(head, truth)
    # The start is the truth; landmarks that belong elsewhere pull the head off the picture.
    wrong = replace(crop, landmarks68_px=crop.landmarks68_px + 6.0)
    config = replace(QUICK, landmarks=50.0, steps=(10, 10))
    kept, record = fit_raster(head, wrong, truth, config)
    assert not record.accepted
    assert "dB" in record.reason
    assert kept.parameters is not None
    for name, value in vars(truth.parameters).items():
        assert torch.equal(getattr(kept.parameters, name), value)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["black", "white", "noise", "no landmarks", "outside", "behind"])
def test_nothing_makes_numbers_that_are_none(head: MorphableModel, what: str) -> None:
    truth = drawn_face(head)
    crop, start = photograph(head, truth), turned(truth, 0.06, 3.0)
    image = crop.image_srgb
    if what == "black":
        crop = replace(crop, image_srgb=torch.zeros_like(image))
    elif what == "white":
        crop = replace(crop, image_srgb=torch.ones_like(image))
    elif what == "noise":
        crop = replace(crop, image_srgb=torch.rand(image.shape, generator=torch.Generator().manual_seed(0)))
    elif what == "no landmarks":
        crop = replace(crop, landmarks68_weight=torch.zeros(68))
    elif what == "outside":
        crop = replace(crop, inside=torch.zeros(SIZE_PX, SIZE_PX))
    else:
        away = replace(start.parameters, translation_mm=torch.tensor([[0.0, 0.0, 500.0]]))
        start = replace(start, parameters=away)
    found, record = fit_raster(head, crop, start, replace(QUICK, steps=(5, 5)))
    assert finite(found)
    assert all(value == value for value in record.figures.values())
    assert found.unoccluded is not None
    assert bool(torch.isfinite(found.unoccluded).all())


@pytest.mark.slow
def test_what_is_kept_dropped_and_learned_is_as_the_config_says(head: MorphableModel) -> None:
    truth = drawn_face(head)
    crop, start = photograph(head, truth), turned(truth, 0.06, 3.0)
    generator = torch.Generator().manual_seed(2)
    offsets_mm = 0.2 * torch.randn(1, len(head.mean_mm), 3, generator=generator)
    stain = torch.zeros_like(offsets_mm) + 0.01
    detail = Detail(offsets_mm, stain, stain[..., 0], stain[..., 0])
    start = replace(start, detail=detail)

    def refined(**settings: str) -> Detail:
        found, record = fit_raster(head, crop, start, replace(QUICK, steps=(5, 5), **settings))
        assert record.accepted, record.reason
        assert found.detail is not None
        return found.detail

    kept = refined(offsets="keep", albedo_residual="keep")
    torch.testing.assert_close(kept.offsets_mm, offsets_mm)
    torch.testing.assert_close(kept.albedo_linear, stain)
    dropped = refined(offsets="drop", albedo_residual="drop")
    assert not dropped.offsets_mm.any()
    assert not dropped.albedo_linear.any()
    learned = refined(offsets="refine", albedo_residual="learn")
    moved = (learned.offsets_mm - offsets_mm)[0].norm(dim=-1) > 0.0
    assert bool(moved.any())
    assert not bool((moved & ~moved_vertices(head)).any())
    assert learned.albedo_linear[0, moved_vertices(head)].any()
    assert not learned.albedo_linear[0, ~moved_vertices(head)].any()


def test_a_known_light_is_solved(head: MorphableModel) -> None:
    truth = drawn_face(head)
    level = make_level(photograph(head, truth), SIZE_PX)
    mesh = truth.mesh(head)
    view = draw(
        head,
        build_rasterizer("cpu"),
        level,
        mesh.vertices_camera_mm,
        mesh.albedo_linear,
        compared_vertices(head),
        truth.intrinsics_px,
    )
    light = solve_light(view, level, color=True, white=0.0)
    seen = torch.nn.functional.normalize(torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.0, 0.8], [0.0, 0.5, 0.8]]]), dim=-1)
    torch.testing.assert_close(shade(seen, light), shade(seen, truth.parameters.lighting), atol=0.04, rtol=0.0)
    # Unlit sides are unlit: no lamp takes light away.
    everywhere = torch.nn.functional.normalize(
        torch.randn(1, 500, 3, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    assert float(shade(everywhere, light).min()) > -0.1


def test_large_steps_are_smooth_and_carry_gradients(head: MorphableModel) -> None:
    moved = moved_vertices(head)
    steps = LargeSteps(head, moved, 20.0)
    values = torch.zeros(steps.moved_count, 1, requires_grad=True)
    with torch.no_grad():
        values[5] = 100.0
    smooth = steps(values)
    assert not bool(smooth[~moved].any())
    assert float(smooth.max()) < 20.0
    assert int((smooth > 0.01).sum()) > 10
    # The matrix is symmetric, so the gradient of one vertex's height is what a push there moves.
    (gradient,) = torch.autograd.grad(smooth[moved][5].sum(), values)
    torch.testing.assert_close(100.0 * gradient, smooth[moved].detach(), rtol=1e-4, atol=1e-5)


def test_settings_that_cannot_be_are_refused_by_name(head: MorphableModel) -> None:
    with pytest.raises(ValueError, match=r"raster\.sizes_px .* raster\.steps"):
        RasterFitConfig(sizes_px=(64,), steps=(1, 2))
    with pytest.raises(ValueError, match=r"raster\.identity_sd is 0\.0"):
        RasterFitConfig(identity_sd=0.0)
    with pytest.raises(ValueError, match=r"raster\.photometric is -1\.0"):
        RasterFitConfig(photometric=-1.0)
    truth = drawn_face(head)
    crop = photograph(head, truth)
    with pytest.raises(ValueError, match="no recognition network"):
        fit_raster(head, crop, truth, replace(QUICK, recognition_feature=0.1))
    with pytest.raises(ValueError, match="crop has 64 px"):
        fit_raster(head, crop, truth, RasterFitConfig(sizes_px=(128,), steps=(1,)))
