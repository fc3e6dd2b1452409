import dataclasses

import pytest
import torch

from model.encoder.point_update import MESH_POINTS
from model.losses.config import LossConfig
from model.losses.inputs import LossInputs
from model.losses.objective import Objective
from model.losses.points import point_distance, seen_points
from model.observation import Observation
from model.reconstructor import Reconstructor
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor

BATCH = 2


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor(points=True)


@pytest.fixture
def photographs() -> Observation:
    generator = torch.Generator().manual_seed(0)
    return dataclasses.replace(
        Observation.fake(batch=BATCH, size=IMAGE_SIZE),
        intrinsics_px=crop_camera(BATCH),
        landmarks68_px=IMAGE_SIZE * torch.rand(BATCH, 68, 3, generator=generator),
        landmarks478_px=IMAGE_SIZE * torch.rand(BATCH, 478, 2, generator=generator),
    )


def given(reconstructor: Reconstructor, photographs: Observation, off: float, expected: float) -> LossInputs:
    """Points that lie `off` beside their labels, and are expected to lie `expected`, in sides of the crop."""
    labels = torch.cat((photographs.landmarks68_px[..., :2], photographs.landmarks478_px[:, list(MESH_POINTS)]), dim=1)
    points = labels / IMAGE_SIZE + torch.tensor([off, 0.0])
    pooled = torch.zeros(BATCH, reconstructor.backbone.feature_count)
    log_distance = torch.full((BATCH, points.shape[1]), expected).log()
    features = torch.cat((pooled, points.flatten(1), log_distance), dim=1)
    with torch.no_grad():
        answer = reconstructor(torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(BATCH))
    return Objective(LossConfig(), reconstructor).inputs(photographs, answer, features)


def test_points_at_their_labels_cost_nothing(reconstructor: Reconstructor, photographs: Observation) -> None:
    assert seen_points(given(reconstructor, photographs, 0.0, 0.1)).item() == pytest.approx(0.0, abs=1e-6)


def test_the_distance_is_over_the_size_of_the_face(reconstructor: Reconstructor, photographs: Observation) -> None:
    inputs = given(reconstructor, photographs, 0.25, 0.1)
    # Of both sets, less what the rounded corner takes of each.
    expected = 2.0 * float((0.25 * IMAGE_SIZE / photographs.box_px - 0.01).mean())
    assert seen_points(inputs).item() == pytest.approx(expected, rel=0.01)


def test_the_best_expectation_is_the_true_distance(reconstructor: Reconstructor, photographs: Observation) -> None:
    costs = [point_distance(given(reconstructor, photographs, 0.05, each)).item() for each in (0.025, 0.05, 0.1)]
    assert costs[1] < costs[0]
    assert costs[1] < costs[2]


def test_photographs_without_labels_pull_nothing(reconstructor: Reconstructor, photographs: Observation) -> None:
    none = torch.zeros(BATCH)
    unlabelled = dataclasses.replace(photographs, landmarks68_weight=none, landmarks478_weight=none)
    for loss in (seen_points, point_distance):
        assert loss(given(reconstructor, unlabelled, 0.3, 0.1)).item() == 0.0


def test_a_model_that_looks_for_no_points_is_refused(photographs: Observation) -> None:
    plain = toy_reconstructor()
    with torch.no_grad():
        answer = plain(torch.rand(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(BATCH))
    inputs = Objective(LossConfig(), plain).inputs(photographs, answer, torch.zeros(BATCH, 1))
    with pytest.raises(ValueError, match="encoder.points"):
        seen_points(inputs)
