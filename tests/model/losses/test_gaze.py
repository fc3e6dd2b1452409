import pytest
import torch
from torch import Tensor

from common.paths import DEFAULT_HEAD
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from model.losses.gaze import CORNERS_478, IRISES_478, LIDS_478, gaze

BOX = torch.tensor([100.0, 50.0], dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)
MOVED = torch.tensor([3.0, 1.0], dtype=torch.float64)


def faces() -> Tensor:
    """Two meshes with open eyes, 20 px wide and 8 px high."""
    points_px = 100.0 * torch.rand(2, 478, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for iris, corners, lids, x in zip(IRISES_478, CORNERS_478, LIDS_478, (30.0, 70.0), strict=True):
        points_px[:, corners[0]] = torch.tensor([x - 10.0, 40.0], dtype=torch.float64)
        points_px[:, corners[1]] = torch.tensor([x + 10.0, 40.0], dtype=torch.float64)
        points_px[:, lids[0]] = torch.tensor([x, 36.0], dtype=torch.float64)
        points_px[:, lids[1]] = torch.tensor([x, 44.0], dtype=torch.float64)
        points_px[:, iris] = torch.tensor([x + 2.0, 40.0], dtype=torch.float64)
    return points_px


def test_the_labelled_gaze_is_best_and_the_place_of_the_head_does_not_matter() -> None:
    assert gaze(faces(), faces(), BOX, ONES) < 1e-12
    assert gaze(faces() + 5.0, faces(), BOX, ONES) < 1e-12
    for iris in IRISES_478:
        squinting = faces()
        squinting[:, iris] += MOVED
        one = gaze(squinting, faces(), BOX, ONES)
        squinting[:, iris] += MOVED
        assert gaze(squinting, faces(), BOX, ONES) > one > 0.01


def test_a_shut_eye_has_no_gaze() -> None:
    wrong, target = faces(), faces()
    wrong[:, 468] += MOVED
    for upper, lower in LIDS_478[:1]:
        target[:, upper] = target[:, lower]
    assert gaze(wrong, faces(), BOX, ONES) > 0.01
    assert gaze(wrong, target, BOX, ONES) < 1e-12
    # The other eye still counts.
    wrong[:, 473] += MOVED
    assert gaze(wrong, target, BOX, ONES) > 0.01


def test_photographs_without_a_mesh_do_not_count() -> None:
    wrong = faces()
    wrong[1, 468] += MOVED
    first = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert gaze(wrong, faces(), BOX, first) < 1e-12
    assert gaze(wrong, faces(), BOX, 0.0 * ONES) == 0.0


def test_it_does_not_depend_on_the_resolution() -> None:
    wrong = faces()
    wrong[:, 468] += MOVED
    torch.testing.assert_close(gaze(2 * wrong, 2 * faces(), 2 * BOX, ONES), gaze(wrong, faces(), BOX, ONES))


def test_gradients() -> None:
    chosen = [*IRISES_478, *CORNERS_478[0], *CORNERS_478[1]]
    moving = (faces()[:, chosen] + MOVED).requires_grad_()

    def loss(points_px: Tensor) -> Tensor:
        predicted = faces()
        predicted[:, chosen] = points_px
        return gaze(predicted, faces(), BOX, ONES)

    assert torch.autograd.gradcheck(loss, (moving,))


@pytest.mark.parametrize("looking", [("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookUpLeft", "eyeLookUpRight")])
def test_the_released_head_turns_its_eyeballs_to_look_where_the_label_does(looking: tuple[str, str]) -> None:
    model = MorphableModel(load_head(DEFAULT_HEAD))
    identity = torch.zeros(1, model.identity_count)
    chosen = [model.expression_names.index(name) for name in looking]
    truth = torch.zeros(1, model.expression_count)
    truth[:, chosen] = 0.6

    def points_px(expression: Tensor) -> Tensor:
        # Seen from the front at one px a mm, y down.
        points_mm = model.landmarks_mm(identity, expression, "mediapipe478")
        return points_mm[..., :2] * torch.tensor([1.0, -1.0])

    target, expression = points_px(truth), torch.zeros_like(truth, requires_grad=True)
    optimizer = torch.optim.Adam([expression], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = gaze(points_px(expression), target, torch.tensor([130.0]), torch.ones(1))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            others = [i for i in range(model.expression_count) if i not in chosen]
            expression[:, others] = 0.0
    torch.testing.assert_close(expression[:, chosen].detach(), truth[:, chosen], atol=0.05, rtol=0.0)
