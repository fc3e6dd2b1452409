import pytest
import torch

from model.face.morphable_model import MorphableModel
from model.geometry.rotation import rotation_from_euler
from model.losses.landmark_weights import landmark_visibility, landmark_weights
from model.losses.loss_tables import LossTables
from tests.small_world import toy_head


def test_uniform_weights_are_all_one() -> None:
    assert torch.equal(landmark_weights("uniform"), torch.ones(68))


def test_deep3d_counts_the_tip_of_the_nose_and_the_inner_lips_twenty_times() -> None:
    weights = landmark_weights("deep3d")
    heavy = torch.zeros(68, dtype=torch.bool)
    heavy[28:31], heavy[60:] = True, True
    assert torch.equal(weights, torch.where(heavy, 20.0, 1.0))


def test_deca_has_its_published_weights() -> None:
    weights = landmark_weights("deca")
    expected = torch.ones(68)
    expected[[5, 6, 10, 11]] = 2.0
    expected[27:36] = 1.5
    expected[48:] = 1.5
    expected[[30, 31, 35, 48, 54]] = 3.0
    assert torch.equal(weights, expected)


@pytest.mark.parametrize("name", ["deep3d", "deca"])
def test_presets_are_symmetric_where_the_papers_are(name: str) -> None:
    weights = landmark_weights(name)
    assert torch.equal(weights[:17], weights[:17].flip(0))
    assert torch.equal(weights[31:36], weights[31:36].flip(0))


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'flame'.*uniform, deep3d, deca"):
        landmark_weights("flame")


def turned(yaw_rad: float, hidden: float = 0.1) -> torch.Tensor:
    normals = LossTables(MorphableModel(toy_head())).normals68
    rotation = rotation_from_euler(torch.tensor([[yaw_rad, 0.0, 0.0]]))
    return landmark_visibility(normals, rotation, torch.tensor([[0.0, 0.0, -800.0]]), hidden)[0]


def test_a_profile_hides_the_far_jaw_and_eye_and_keeps_the_near_ones() -> None:
    # To his left: the right side of his face, jaw points 0-7 and eye 36-41, is in view.
    weights = turned(1.3)
    assert (weights[2:7] == 1.0).all()
    assert (weights[36:40] == 1.0).all()
    assert (weights[10:15] < 0.11).all()
    assert weights[42:48].mean() < 0.9
    assert (turned(-1.3)[2:7] < 0.11).all()


def test_a_frontal_face_hides_nothing_and_a_weight_of_one_changes_nothing() -> None:
    assert turned(0.0)[17:].min() > 0.99
    assert torch.equal(turned(1.3, hidden=1.0), torch.ones(68))


def test_a_head_beside_the_camera_is_seen_from_its_side() -> None:
    normals = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    beside = torch.tensor([[-800.0, 0.0, -800.0]])
    weights = landmark_visibility(normals, torch.eye(3)[None], beside, 0.0)[0]
    assert weights.tolist() == [1.0, 0.0]


def test_no_gradient_turns_the_head_to_hide_its_points() -> None:
    rotation = torch.eye(3)[None].requires_grad_()
    translation_mm = torch.tensor([[0.0, 0.0, -800.0]], requires_grad=True)
    assert not landmark_visibility(torch.eye(3), rotation, translation_mm, 0.5).requires_grad
