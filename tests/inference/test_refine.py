"""The refinement of a face, with stages that are told what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.alignment import CropWindow
from data.detection import Detection
from inference.face_crop import Landmarks
from inference.faces import FaceRequest
from inference.inputs import InputImage
from inference.jobs import FaceJob
from inference.refine import RefinementStoppedError, Refiner, network_landmarks
from model.geometry.camera import default_intrinsics
from model.look.appearance import Appearance
from model.parameters import FaceParameters
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.refined import Raytraced, Stage, StageAnswer
from tests.small_world import toy_reconstructor

PHOTOGRAPH = np.full((240, 320, 3), (200, 120, 40), np.uint8)
RECONSTRUCTOR = toy_reconstructor()
MODEL = RECONSTRUCTOR.morphable_model


def job() -> FaceJob:
    """The neutral head in a photograph, as the network's thread leaves it."""
    with torch.inference_mode():
        neutral = FaceParameters.neutral(1, MODEL.identity_count, MODEL.expression_count, MODEL.albedo_count)
        reconstruction = RECONSTRUCTOR.decode(neutral, default_intrinsics(240, 320)[None])
    detection = Detection(np.array([100, 60, 200, 180], np.float32), np.zeros((5, 2), np.float32), 0.9)
    request = FaceRequest.in_photograph(PHOTOGRAPH, CropWindow(80.0, 40.0, 160.0))
    return FaceJob(InputImage(Path("a.png"), "a.png"), 0, PHOTOGRAPH, detection, request, reconstruction)


def refiner(stages: dict[str, Stage], **options) -> Refiner:
    settings = {"find_landmarks": network_landmarks, "size_px": 64, "device": torch.device("cpu"), **options}
    return Refiner(MODEL, stages, **settings)


def moving(x_mm: float, *, accepted: bool = True, focal: float = 1.0) -> Stage:
    """A stage that moves the head to the right and may change the focal length."""

    def stage(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        assert start is not None
        step = torch.tensor([x_mm, 0.0, 0.0], requires_grad=True)
        moved = replace(start.parameters, translation_mm=start.parameters.translation_mm + step)
        # What every stage does: it would fail for tensors of inference mode.
        moved.translation_mm.square().sum().backward()
        camera = start.intrinsics_px.clone()
        camera[0, 0] *= focal
        camera[1, 1] *= focal
        answer = FittedFace(replace(moved, translation_mm=moved.translation_mm.detach()), start.refinement, camera)
        return StageAnswer(answer if accepted else start), StageRecord("told", accepted, "told", 0.1, {"x_mm": x_mm})

    return stage


def breaking(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
    raise RuntimeError("told to\nbreak")


def poisoned(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
    assert start is not None
    broken = replace(start.parameters, identity=start.parameters.identity * float("nan"))
    return StageAnswer(replace(start, parameters=broken)), StageRecord("told", True, "fine", 0.1)


def test_stages_go_on_from_one_another_and_land_in_the_photograph() -> None:
    before = job()
    after = refiner({"one": moving(10.0), "two": moving(5.0)}).refine(before)
    moved = after.reconstruction.parameters.translation_mm - before.reconstruction.parameters.translation_mm
    np.testing.assert_allclose(moved, [[15.0, 0.0, 0.0]], atol=1e-4)
    focal, depth = float(after.request.intrinsics_px[0, 0]), before.reconstruction.landmarks68_image[0, :, 2]
    shift_px = after.reconstruction.landmarks68_image[0, :, 0] - before.reconstruction.landmarks68_image[0, :, 0]
    np.testing.assert_allclose(shift_px, 15.0 * focal / depth, rtol=1e-3)
    np.testing.assert_allclose(after.request.intrinsics_px, before.request.intrinsics_px, rtol=1e-5, atol=1e-3)
    vertices = after.reconstruction.mesh.vertices_camera_mm - before.reconstruction.mesh.vertices_camera_mm
    np.testing.assert_allclose(vertices[0, :, 0], 15.0, atol=1e-3)
    assert after.refined is not None
    assert [record.figures["x_mm"] for record in after.refined.records] == [10.0, 5.0]


def test_a_focal_length_that_a_stage_found_is_the_photographs() -> None:
    before = job()
    after = refiner({"one": moving(0.0, focal=1.25)}).refine(before)
    assert float(after.request.intrinsics_px[0, 0]) == pytest.approx(1.25 * float(before.request.intrinsics_px[0, 0]))
    assert after.request.intrinsics_px[:2, 2].tolist() == pytest.approx([160.0, 120.0], abs=1e-3)


@pytest.mark.parametrize("bad", [breaking, poisoned, moving(99.0, accepted=False)])
def test_a_stage_that_fails_keeps_the_earlier_answer_and_says_so(bad: Stage) -> None:
    before = job()
    after = refiner({"one": moving(10.0), "bad": bad, "three": moving(5.0)}).refine(before)
    moved = after.reconstruction.parameters.translation_mm - before.reconstruction.parameters.translation_mm
    np.testing.assert_allclose(moved, [[15.0, 0.0, 0.0]], atol=1e-4)
    assert after.refined is not None
    assert [record.accepted for record in after.refined.records] == [True, False, True]
    assert after.refined.records[1].reason
    assert "\n" not in after.refined.records[1].reason


@pytest.mark.parametrize("bad", [breaking, poisoned, moving(99.0, accepted=False)])
def test_where_nothing_was_better_the_networks_answer_stays_to_the_last_bit(bad: Stage) -> None:
    before = job()
    after = refiner({"bad": bad}).refine(before)
    assert after.reconstruction is before.reconstruction
    assert after.request is before.request
    assert after.refined is not None
    assert not after.refined.records[0].accepted


def test_landmarks_that_cannot_be_found_are_the_networks() -> None:
    def nothing(job: FaceJob) -> Landmarks:
        raise ValueError("no landmarks here")

    after = refiner({"one": moving(10.0)}, find_landmarks=nothing).refine(job())
    assert after.refined is not None
    assert [record.name for record in after.refined.records] == ["landmark source", "told"]
    assert "no landmarks here" in after.refined.records[0].reason
    with pytest.raises(ValueError, match="no landmarks here"):
        refiner({"one": moving(10.0)}, find_landmarks=nothing, from_network=False).refine(job())


def test_without_the_network_the_first_stage_starts_from_nothing_and_must_succeed() -> None:
    seen: list[object] = []

    def first(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        seen.append(start)
        neutral = FaceParameters.neutral(1, MODEL.identity_count, MODEL.expression_count, MODEL.albedo_count)
        return StageAnswer(FittedFace(neutral, None, crop.intrinsics_px)), StageRecord("first", True, "", 0.1)

    after = refiner({"first": first, "two": moving(5.0)}, from_network=False).refine(job())
    assert seen == [None]
    assert float(after.reconstruction.parameters.translation_mm[0, 0]) == pytest.approx(5.0)
    with pytest.raises(RuntimeError, match="told to"):
        refiner({"first": breaking}, from_network=False).refine(job())


def test_stopping_ends_between_two_stages() -> None:
    stages: dict[str, Stage] = {}
    stopped = refiner(stages)

    def stop(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        stopped.stop()
        return moving(1.0)(crop, start)

    stages |= {"one": stop, "two": breaking}
    with pytest.raises(RefinementStoppedError, match="two"):
        stopped.refine(job())


def test_every_stage_is_told_of() -> None:
    told: list[str] = []
    refiner({"one": moving(1.0), "two": moving(1.0)}, tell=told.append).refine(job())
    assert told == ["a.png, face0: one", "a.png, face0: two"]


def raytracing(accepted: bool) -> Stage:
    def stage(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        assert start is not None
        flat = np.ones((4, 4), np.float32)
        appearance = Appearance(
            np.ones((4, 4, 3), np.float32), flat, flat, np.ones((4, 4, 3), np.float32), flat,
            np.ones((2, 4, 3), np.float32), (), 0.1,
        )  # fmt: skip
        raytraced = Raytraced(appearance, torch.ones(64, 64, 3), torch.ones(64, 64), torch.ones(64, 64, 3))
        return StageAnswer(start, raytraced), StageRecord("raytrace", accepted, "told", 0.1)

    return stage


def painting(refined: object) -> np.ndarray:
    return np.zeros((8, 8, 3), np.uint8)


def failing_to_paint(refined: object) -> np.ndarray:
    raise RuntimeError("no colours")


@pytest.mark.parametrize("accepted", [True, False])
def test_an_appearance_is_kept_only_where_its_stage_was_accepted(accepted: bool) -> None:
    after = refiner({"raytrace": raytracing(accepted)}, path_tracer=painting).refine(job())
    assert after.refined is not None
    assert (after.refined.raytraced is not None) == accepted
    assert (after.refined.path_traced_srgb is not None) == accepted


@pytest.mark.parametrize("shape", [breaking, poisoned, moving(3.0, accepted=False)])
def test_a_refused_shape_leaves_the_appearance_of_the_one_before(shape: Stage) -> None:
    after = refiner({"raytrace": raytracing(True), "shape": shape}).refine(job())
    assert after.refined is not None
    assert after.refined.raytraced is not None
    moved = after.reconstruction.parameters.translation_mm - job().reconstruction.parameters.translation_mm
    np.testing.assert_allclose(moved, 0.0, atol=1e-4)


def test_an_accepted_stage_without_appearance_has_none() -> None:
    after = refiner({"raytrace": raytracing(True), "other": moving(3.0)}).refine(job())
    assert after.refined is not None
    assert after.refined.raytraced is None


def test_a_picture_that_fails_costs_only_itself() -> None:
    tracer: Callable[..., np.ndarray] = failing_to_paint
    after = refiner({"raytrace": raytracing(True)}, path_tracer=tracer).refine(job())
    assert after.refined is not None
    assert after.refined.raytraced is not None
    assert after.refined.path_traced_srgb is None
    assert "no colours" in after.refined.records[-1].reason
