"""The refinement of a face, with stages that are told what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.detection import Detection
from inference.face_crop import Landmarks
from inference.refine import RefinementStoppedError, Refiner
from inference.refining import FacePhotograph
from model.geometry.camera import default_intrinsics, project
from model.look.appearance import Appearance
from model.reconstructor import Reconstruction
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.refined import Raytraced, Stage, StageAnswer
from tests.small_world import neutral_parameters, toy_reconstructor

PHOTOGRAPH = np.full((240, 320, 3), (200, 120, 40), np.uint8)
RECONSTRUCTOR = toy_reconstructor()
MODEL = RECONSTRUCTOR.morphable_model


def photograph() -> FacePhotograph:
    detection = Detection(np.array([100, 60, 200, 180], np.float32), np.zeros((5, 2), np.float32), 0.9)
    return FacePhotograph(PHOTOGRAPH, default_intrinsics(240, 320), detection, Path("a.png"), "a.png, face0")


def reconstruction() -> Reconstruction:
    """The neutral head in the photograph, as the network's thread leaves it."""
    with torch.inference_mode():
        neutral = neutral_parameters(MODEL)
        return RECONSTRUCTOR.decode(neutral, default_intrinsics(240, 320)[None])


def refiner(stages: dict[str, Stage], **options) -> Refiner:
    settings = {"find_landmarks": None, "size_px": 64, "device": torch.device("cpu"), **options}
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
        answer = FittedFace(replace(moved, translation_mm=moved.translation_mm.detach()), start.detail, camera)
        return StageAnswer(answer if accepted else start), StageRecord("told", accepted, "told", 0.1, {"x_mm": x_mm})

    return stage


def breaking(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
    raise RuntimeError("told to\nbreak")


def poisoned(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
    assert start is not None
    broken = replace(start.parameters, identity=start.parameters.identity * float("nan"))
    return StageAnswer(replace(start, parameters=broken)), StageRecord("told", True, "fine", 0.1)


def test_stages_go_on_from_one_another_and_land_in_the_photograph() -> None:
    before = reconstruction()
    after = refiner({"one": moving(10.0), "two": moving(5.0)}).refine(photograph(), before)
    moved = after.reconstruction.parameters.translation_mm - before.parameters.translation_mm
    np.testing.assert_allclose(moved, [[15.0, 0.0, 0.0]], atol=1e-4)
    focal, depth = float(after.intrinsics_px[0, 0]), before.landmarks68_image[0, :, 2]
    shift_px = after.reconstruction.landmarks68_image[0, :, 0] - before.landmarks68_image[0, :, 0]
    np.testing.assert_allclose(shift_px, 15.0 * focal / depth, rtol=1e-3)
    np.testing.assert_allclose(after.intrinsics_px, photograph().intrinsics_px, rtol=1e-5, atol=1e-3)
    vertices = after.reconstruction.mesh.vertices_camera_mm - before.mesh.vertices_camera_mm
    np.testing.assert_allclose(vertices[0, :, 0], 15.0, atol=1e-3)
    assert [record.figures["x_mm"] for record in after.refined.records] == [10.0, 5.0]


def test_a_focal_length_that_a_stage_found_is_the_photographs() -> None:
    before = reconstruction()
    after = refiner({"one": moving(0.0, focal=1.25)}).refine(photograph(), before)
    assert float(after.intrinsics_px[0, 0]) == pytest.approx(1.25 * float(photograph().intrinsics_px[0, 0]))
    assert after.intrinsics_px[:2, 2].tolist() == pytest.approx([160.0, 120.0], abs=1e-3)


@pytest.mark.parametrize("bad", [breaking, poisoned, moving(99.0, accepted=False)])
def test_a_stage_that_fails_keeps_the_earlier_answer_and_says_so(bad: Stage) -> None:
    before = reconstruction()
    after = refiner({"one": moving(10.0), "bad": bad, "three": moving(5.0)}).refine(photograph(), before)
    moved = after.reconstruction.parameters.translation_mm - before.parameters.translation_mm
    np.testing.assert_allclose(moved, [[15.0, 0.0, 0.0]], atol=1e-4)
    assert [record.accepted for record in after.refined.records] == [True, False, True]
    assert after.refined.records[1].reason
    assert "\n" not in after.refined.records[1].reason


@pytest.mark.parametrize("bad", [breaking, poisoned, moving(99.0, accepted=False)])
def test_where_nothing_was_better_the_networks_answer_stays_to_the_last_bit(bad: Stage) -> None:
    before = reconstruction()
    after = refiner({"bad": bad}).refine(photograph(), before)
    assert after.reconstruction is before
    assert torch.equal(after.intrinsics_px, photograph().intrinsics_px)
    assert not after.refined.records[0].accepted


def test_without_a_finder_the_landmarks_are_the_reconstructions() -> None:
    seen: list[FaceCrop] = []

    def stage(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        seen.append(crop)
        return moving(0.0)(crop, start)

    before = reconstruction()
    refiner({"one": stage}).refine(photograph(), before)
    points_px = project(landmarks_camera_mm(before), seen[0].intrinsics_px[None])[0, :, :2]
    np.testing.assert_allclose(seen[0].landmarks68_px, points_px, atol=1e-2)
    assert (seen[0].landmarks68_weight == 1.0).all()


def landmarks_camera_mm(face: Reconstruction) -> torch.Tensor:
    """The landmarks in camera space."""
    return face.parameters.to_camera(face.landmarks68_mm)


def test_landmarks_that_cannot_be_found_are_the_networks() -> None:
    def nothing(photograph: FacePhotograph) -> Landmarks:
        raise ValueError("no landmarks here")

    after = refiner({"one": moving(10.0)}, find_landmarks=nothing).refine(photograph(), reconstruction())
    assert [record.name for record in after.refined.records] == ["landmark source", "told"]
    assert "no landmarks here" in after.refined.records[0].reason
    with pytest.raises(ValueError, match="no landmarks here"):
        refiner({"one": moving(10.0)}, find_landmarks=nothing, from_network=False).refine(
            photograph(), reconstruction()
        )


def test_without_the_network_the_first_stage_starts_from_nothing_and_must_succeed() -> None:
    seen: list[object] = []

    def first(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        seen.append(start)
        neutral = neutral_parameters(MODEL)
        return StageAnswer(FittedFace(neutral, None, crop.intrinsics_px)), StageRecord("first", True, "", 0.1)

    after = refiner({"first": first, "two": moving(5.0)}, from_network=False).refine(photograph(), reconstruction())
    assert seen == [None]
    assert float(after.reconstruction.parameters.translation_mm[0, 0]) == pytest.approx(5.0)
    with pytest.raises(RuntimeError, match="told to"):
        refiner({"first": breaking}, from_network=False).refine(photograph(), reconstruction())


def test_stopping_ends_between_two_stages() -> None:
    stages: dict[str, Stage] = {}
    stopped = refiner(stages)

    def stop(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        stopped.stop()
        return moving(1.0)(crop, start)

    stages |= {"one": stop, "two": breaking}
    with pytest.raises(RefinementStoppedError, match="two"):
        stopped.refine(photograph(), reconstruction())


def test_every_stage_is_told_of() -> None:
    told: list[str] = []
    refiner({"one": moving(1.0), "two": moving(1.0)}, tell=told.append).refine(photograph(), reconstruction())
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
    after = refiner({"raytrace": raytracing(accepted)}, path_tracer=painting).refine(photograph(), reconstruction())
    assert (after.refined.raytraced is not None) == accepted
    assert (after.refined.path_traced_srgb is not None) == accepted


@pytest.mark.parametrize("refused", [breaking, poisoned, moving(3.0, accepted=False)])
def test_a_refused_answer_leaves_the_appearance_of_the_one_before(refused: Stage) -> None:
    after = refiner({"raytrace": raytracing(True), "refused": refused}).refine(photograph(), reconstruction())
    assert after.refined.raytraced is not None
    moved = after.reconstruction.parameters.translation_mm - reconstruction().parameters.translation_mm
    np.testing.assert_allclose(moved, 0.0, atol=1e-4)


def test_an_accepted_stage_without_appearance_has_none() -> None:
    after = refiner({"raytrace": raytracing(True), "other": moving(3.0)}).refine(photograph(), reconstruction())
    assert after.refined.raytraced is None


def test_a_picture_that_fails_costs_only_itself() -> None:
    tracer: Callable[..., np.ndarray] = failing_to_paint
    after = refiner({"raytrace": raytracing(True)}, path_tracer=tracer).refine(photograph(), reconstruction())
    assert after.refined.raytraced is not None
    assert after.refined.path_traced_srgb is None
    assert "no colours" in after.refined.records[-1].reason
