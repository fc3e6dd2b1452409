from dataclasses import replace

import pytest
import torch

from model.face.detail import Detail
from model.face.morphable_model import MorphableModel
from model.refine.face import FaceCrop, FittedFace
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.landmarks.fit import fit_landmarks, point_head
from model.refine.landmarks.points import HeadState, project_points
from tests.model.refine.fit_scenes import (
    SIZE_PX,
    angle_rad,
    drawn_face,
    landmarks_px,
    model,
    photograph,
    turned,
)

EXACT = LandmarkFitConfig(noise=0.001, robust="none", identity_sd=3.0, expression_sd=1.0)


@pytest.fixture(scope="module")
def head() -> MorphableModel:
    return model()


def crop_of(head: MorphableModel, face: FittedFace) -> FaceCrop:
    size = SIZE_PX
    black, ones = torch.zeros(3, size, size), torch.ones(size, size)
    return FaceCrop(black, ones, True, face.intrinsics_px, landmarks_px(head, face), torch.ones(68))


def off_px(head: MorphableModel, face: FittedFace, crop: FaceCrop) -> float:
    return float((landmarks_px(head, face) - crop.landmarks68_px).norm(dim=-1).mean())


@pytest.mark.parametrize("yaw_rad", [0.0, 0.7, -1.3])
def test_a_known_head_is_found_again_from_near_and_from_nothing(head: MorphableModel, yaw_rad: float) -> None:
    truth = drawn_face(head, yaw_rad=yaw_rad)
    crop = crop_of(head, truth)
    for start in (turned(truth, 0.15, 12.0), None):
        found, record = fit_landmarks(head, crop, start, EXACT)
        assert record.accepted
        assert off_px(head, found, crop) < 0.05
        assert angle_rad(found.parameters.rotation, truth.parameters.rotation) < 0.04
        error = found.mesh(head).vertices_mm - truth.mesh(head).vertices_mm
        face = head.region("face")
        before = head.mean_mm[face] - truth.mesh(head).vertices_mm[0, face]
        assert error[0, face].norm(dim=-1).mean() < 0.5 * before.norm(dim=-1).mean()


def test_derivatives_are_those_of_finite_differences(head: MorphableModel) -> None:
    truth = drawn_face(head, yaw_rad=0.5)
    points = point_head(head, None)
    parameters = truth.parameters
    state = HeadState(
        rotation=parameters.rotation[0].double(),
        translation_mm=parameters.translation_mm[0].double(),
        identity=parameters.identity[0].double(),
        expression=torch.full((head.expression_count,), 0.5, dtype=torch.float64),
        log_focal=torch.tensor(0.1, dtype=torch.float64),
    )
    intrinsics_px = truth.intrinsics_px.double()
    _, jacobian = project_points(points, state, intrinsics_px)
    step = 1e-5
    for unknown in range(jacobian.shape[-1]):
        change = torch.zeros(jacobian.shape[-1], dtype=torch.float64)
        change[unknown] = step
        ahead, _ = project_points(points, state.moved(change), intrinsics_px)
        behind, _ = project_points(points, state.moved(-change), intrinsics_px)
        torch.testing.assert_close(jacobian[..., unknown], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-5)


def test_offsets_skin_and_light_of_the_start_are_kept(head: MorphableModel) -> None:
    truth = drawn_face(head)
    offsets_mm = 3.0 * torch.randn(1, len(head.mean_mm), 3, generator=torch.Generator().manual_seed(1))
    nothing = torch.zeros_like(offsets_mm)
    detailed = replace(truth, detail=Detail(offsets_mm, nothing, nothing[..., 0] + 1.0, nothing[..., 0]))
    crop = crop_of(head, detailed)
    start = turned(detailed, 0.1, 5.0)
    found, _ = fit_landmarks(head, crop, start, EXACT)
    assert off_px(head, found, crop) < 0.1
    assert found.detail is start.detail
    assert found.parameters.albedo is start.parameters.albedo
    assert found.parameters.lighting is start.parameters.lighting


def test_priors_hold_the_answer_near_the_start(head: MorphableModel) -> None:
    truth = drawn_face(head)
    crop, start = crop_of(head, truth), turned(truth, 0.1, 5.0)

    def moved(config: LandmarkFitConfig) -> float:
        found, _ = fit_landmarks(head, crop, start, config)
        return float((found.parameters.identity - start.parameters.identity).norm())

    loose = moved(replace(EXACT, identity_sd=2.0))
    assert moved(replace(EXACT, noise=0.02, identity_sd=0.02)) < 0.1 * loose
    # Expression weights stay what they are: weights.
    expression = fit_landmarks(head, crop, start, EXACT)[0].parameters.expression
    assert 0.0 <= float(expression.min()) <= float(expression.max()) <= 1.0


def test_a_wrong_landmark_is_doubted(head: MorphableModel) -> None:
    truth = drawn_face(head)
    exact = crop_of(head, truth)
    wrong = exact.landmarks68_px.clone()
    wrong[[30, 45]] += torch.tensor([14.0, -11.0])
    crop = replace(exact, landmarks68_px=wrong)
    config = replace(EXACT, noise=0.02)

    def error(robust: str) -> float:
        found, _ = fit_landmarks(head, crop, turned(truth, 0.1, 5.0), replace(config, robust=robust))
        return off_px(head, found, exact)

    assert error("geman_mcclure") < 0.5 * error("none")
    # A point without a weight says nothing at all.
    weight = torch.ones(68)
    weight[[30, 45]] = 0.0
    silent, _ = fit_landmarks(head, replace(crop, landmarks68_weight=weight), turned(truth, 0.1, 5.0), EXACT)
    assert off_px(head, silent, exact) < 0.1


def test_a_jaw_on_the_visible_outline_turns_no_head_that_expects_it(head: MorphableModel) -> None:
    truth = drawn_face(head, yaw_rad=0.9)
    points = landmarks_px(head, truth)
    # The far side's jaw as a 2D detector sees it: out on the contour of the cheek.
    vertices = truth.mesh(head).vertices_camera_mm[0]
    projected = truth.intrinsics_px[0, 0] * vertices[:, :2] / -vertices[:, 2:]
    projected = torch.stack((projected[:, 0], -projected[:, 1]), -1) + truth.intrinsics_px[:2, 2]
    slid = points.clone()
    face = head.region("face")
    for i in range(10, 16):
        level = face & ((projected[:, 1] - points[i, 1]).abs() < 4.0)
        slid[i, 0] = projected[level, 0].max()
    assert float((slid - points).norm(dim=-1).max()) > 1.0
    crop = replace(crop_of(head, truth), landmarks68_px=slid)
    config = LandmarkFitConfig(noise=0.01, robust="none")

    def turn(jaw: str) -> float:
        found, _ = fit_landmarks(head, crop, None, replace(config, jaw=jaw))
        return angle_rad(found.parameters.rotation, truth.parameters.rotation)

    assert turn("contour") < 0.8 * turn("true")


def test_the_focal_length_is_estimated_only_when_asked(head: MorphableModel) -> None:
    truth = drawn_face(head, yaw_rad=0.4)
    near = replace(truth.parameters, translation_mm=torch.tensor([[5.0, -3.0, -350.0]]))
    truth = replace(truth, parameters=near)
    crop = crop_of(head, truth)
    longer = crop.intrinsics_px.clone()
    longer[[0, 1], [0, 1]] *= 1.5
    crop, config = replace(crop, intrinsics_px=longer), replace(EXACT, noise=0.003)
    fixed, _ = fit_landmarks(head, crop, None, config)
    torch.testing.assert_close(fixed.intrinsics_px, longer)
    free, record = fit_landmarks(head, crop, None, replace(config, focal="estimate"))
    true_px, found_px = float(truth.intrinsics_px[0, 0]), float(free.intrinsics_px[0, 0])
    assert abs(found_px / true_px - 1.0) < 0.2
    assert record.figures["focal_px"] == pytest.approx(found_px, rel=1e-5)


def test_too_few_or_senseless_landmarks_leave_the_start_or_are_refused(head: MorphableModel) -> None:
    truth = drawn_face(head)
    crop, start = crop_of(head, truth), turned(truth, 0.1, 5.0)
    few = replace(crop, landmarks68_weight=torch.cat((torch.ones(5), torch.zeros(63))))
    kept, record = fit_landmarks(head, few, start, LandmarkFitConfig())
    assert kept is start
    assert not record.accepted
    assert "5 of 68" in record.reason
    with pytest.raises(ValueError, match="5 of 68 landmarks are known"):
        fit_landmarks(head, few, None, LandmarkFitConfig())
    line = replace(crop, landmarks68_px=torch.linspace(0.0, 60.0, 68)[:, None].expand(68, 2).contiguous())
    with pytest.raises(ValueError, match="one line or spot"):
        fit_landmarks(head, line, None, LandmarkFitConfig())
    generator = torch.Generator().manual_seed(3)
    noise = replace(crop, landmarks68_px=64.0 * torch.rand(68, 2, generator=generator))
    with pytest.raises(ValueError, match="are these the landmarks of this photograph's face"):
        fit_landmarks(head, noise, None, LandmarkFitConfig())
    kept, record = fit_landmarks(head, noise, start, LandmarkFitConfig())
    assert kept is start
    assert not record.accepted


def test_settings_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"landmarks\.noise is 0\.0"):
        LandmarkFitConfig(noise=0.0)
    with pytest.raises(ValueError, match=r"landmarks\.identity_sd is -1\.0"):
        LandmarkFitConfig(identity_sd=-1.0)


def test_the_history_falls(head: MorphableModel) -> None:
    truth = drawn_face(head)
    _, record = fit_landmarks(head, photograph(head, truth), turned(truth, 0.2, 10.0), LandmarkFitConfig())
    objective = record.history["objective"]
    assert len(objective) > 2
    assert objective == sorted(objective, reverse=True)
    assert record.figures["residual_after_percent"] < 0.3 * record.figures["residual_before_percent"]
