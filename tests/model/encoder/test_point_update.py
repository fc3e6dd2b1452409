from dataclasses import replace

import pytest
import torch

from common.tensor_groups import map_tensors
from model.encoder.parameter_head import ParameterHead
from model.encoder.point_update import MESH_POINTS, PointUpdate, point_sets, solve_regularized
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.rotation import rotation_from_vector
from model.parameters import FaceParameters
from tests.small_world import crop_camera, toy_head

SIZE = 64


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(toy_head())


@pytest.fixture(scope="module")
def head(model: MorphableModel) -> ParameterHead:
    return ParameterHead(8, model.identity_count, 52, 4, model.landmarks(model.mean_mm[None])[0])


@pytest.fixture(scope="module")
def update(model: MorphableModel, head: ParameterHead) -> PointUpdate:
    return PointUpdate(model, head.anchor_mm)


def likely(head: ParameterHead, batch: int = 2) -> FaceParameters:
    with torch.no_grad():
        return head(torch.zeros(batch, 8), crop_camera(batch), SIZE)


def other_people(first: FaceParameters) -> FaceParameters:
    torch.manual_seed(0)
    turn = rotation_from_vector(torch.tensor([[0.05, -0.1, 0.02], [-0.03, 0.08, 0.05]]))
    return replace(
        first,
        identity=torch.randn_like(first.identity),
        expression=torch.rand_like(first.expression).mul(0.2),
        rotation=turn @ first.rotation,
        translation_mm=first.translation_mm + torch.tensor([8.0, -5.0, 12.0]),
    )


def seen(model: MorphableModel, truth: FaceParameters) -> torch.Tensor:
    """Where the points of heads lie, in sides of the crop."""
    sets = []
    for name, chosen in point_sets(model):
        points_mm = model.landmarks_mm(truth.identity, truth.expression, name)[:, list(chosen)]
        sets.append(project(truth.to_camera(points_mm), crop_camera(len(truth.identity)))[..., :2])
    return torch.cat(sets, dim=1) / SIZE


def test_exact_points_are_met(model: MorphableModel, head: ParameterHead, update: PointUpdate) -> None:
    first = likely(head)
    points = seen(model, other_people(first))
    with torch.no_grad():
        answer = update(first, points, torch.full(points.shape[:2], -7.0), crop_camera(2), SIZE)
    before, after = ((seen(model, each) - points).norm(dim=-1).mean() for each in (first, answer))
    assert after < 0.05 * before
    torch.testing.assert_close(torch.linalg.det(answer.rotation), torch.ones(2))


def test_points_that_are_not_believed_move_nothing(head: ParameterHead, update: PointUpdate) -> None:
    first = likely(head)
    points = torch.rand(2, update.point_count, 2)
    with torch.no_grad():
        answer = update(first, points, torch.full(points.shape[:2], 12.0), crop_camera(2), SIZE)
    torch.testing.assert_close(answer.identity, first.identity, atol=1e-4, rtol=0)
    torch.testing.assert_close(answer.rotation, first.rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(answer.translation_mm, first.translation_mm, atol=0.1, rtol=0)


def test_it_takes_nothing_from_a_point_in_doubt(
    model: MorphableModel, head: ParameterHead, update: PointUpdate
) -> None:
    first = likely(head)
    points = seen(model, other_people(first))
    log_distance = torch.full(points.shape[:2], -5.0)
    log_distance[:, 30] = 12.0
    wrong = points.clone()
    wrong[:, 30] = 0.9
    with torch.no_grad():
        answers = [update(first, each, log_distance, crop_camera(2), SIZE).identity for each in (points, wrong)]
    torch.testing.assert_close(*answers, atol=1e-3, rtol=0)


def test_slopes_are_those_of_finite_differences(
    model: MorphableModel, head: ParameterHead, update: PointUpdate
) -> None:
    update = PointUpdate(model, head.anchor_mm).double()
    first = map_tensors(other_people(likely(head)), lambda values: values.double())
    # Away from 0 and 1, where weights are held.
    first = replace(first, expression=first.expression.clamp(0.05, 0.95))
    camera, points = crop_camera(2).double(), torch.zeros(2, update.point_count, 2, dtype=torch.float64)
    difference, slope = update.look(first, points, camera, SIZE)
    step, length = torch.randn(2, slope.shape[2], dtype=torch.float64), 1e-5
    moved, _ = update.look(update.moved(first, length * step), points, camera, SIZE)
    expected = -(moved - difference) / length
    torch.testing.assert_close((slope @ step[..., None])[..., 0], expected, atol=2e-4, rtol=2e-3)


def test_the_solver_solves_and_its_gradient_is_right() -> None:
    torch.manual_seed(0)
    slope = torch.randn(2, 7, 5, dtype=torch.float64, requires_grad=True)
    right = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    matrix = torch.eye(5, dtype=torch.float64) + slope.mT @ slope
    torch.testing.assert_close(solve_regularized(slope, right), torch.linalg.solve(matrix, right))
    assert torch.autograd.gradcheck(solve_regularized, (slope, right))


def test_gradients_reach_points_first_answer_and_deviations(head: ParameterHead, update: PointUpdate) -> None:
    first = likely(head)
    first = replace(first, identity=first.identity.clone().requires_grad_())
    points = torch.rand(2, update.point_count, 2, requires_grad=True)
    answer = update(first, points, torch.full((2, update.point_count), -3.0), crop_camera(2), SIZE)
    answer.identity.square().sum().backward()
    for value in (points, first.identity, update.log_deviation, update.log_alike):
        assert value.grad is not None
        assert float(value.grad.abs().sum()) > 0.0
    update.zero_grad()


def test_lids_lips_and_irises_are_looked_for() -> None:
    assert {159, 145, 386, 374, 13, 14, *range(468, 478)} <= set(MESH_POINTS)


def test_a_head_without_a_mesh_has_the_68_points_alone(model: MorphableModel, head: ParameterHead) -> None:
    assets = toy_head()
    plain = MorphableModel(replace(assets, landmarks={"ibug68": assets.landmarks["ibug68"]}))
    assert point_sets(plain) == (("ibug68", tuple(range(68))),)
    assert PointUpdate(plain, head.anchor_mm).point_count == 68
