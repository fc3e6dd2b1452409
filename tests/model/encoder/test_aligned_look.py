"""The second look: no step at first, what lies under the points decides, and all of it learns."""

from dataclasses import replace

import pytest
import torch

from common.tensor_groups import map_tensors
from model.encoder.aligned_look import AlignedLook
from model.encoder.backbone import Seen
from model.encoder.config import EncoderConfig
from model.encoder.point_decoder import MAP_CHANNELS
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor

POINTS, FEATURES, COUNTS, SIDE = 5, 8, (4, 6), 10


def look(*, trained: bool = True) -> AlignedLook:
    torch.manual_seed(0)
    made = AlignedLook(POINTS, FEATURES, COUNTS)
    if trained:
        torch.nn.init.normal_(made.step.weight)
    return made


def sight() -> Seen:
    generator = torch.Generator().manual_seed(0)
    return Seen(
        pooled=torch.randn(2, FEATURES, generator=generator),
        points=torch.rand(2, POINTS, 2, generator=generator),
        log_distance=torch.zeros(2, POINTS),
        feature_map=torch.randn(2, MAP_CHANNELS, SIDE, SIDE, generator=generator),
    )


ANSWERED = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.45, 0.45], [0.25, 0.75], [0.75, 0.65]]).expand(2, -1, -1)
TURN = torch.eye(3).expand(2, -1, -1)


def test_untrained_it_moves_nothing() -> None:
    step = look(trained=False)(sight(), ANSWERED, TURN)
    assert step.shape == (2, sum(COUNTS) + 6)
    assert not step.any()


def test_only_what_lies_under_a_point_counts() -> None:
    made, seen = look(), sight()
    assert seen.feature_map is not None
    before = made(seen, ANSWERED, TURN)

    def after(row: int, column: int) -> torch.Tensor:
        changed = seen.feature_map.clone()
        changed[:, :, row, column] += 1.0
        return made(replace(seen, feature_map=changed), ANSWERED, TURN)

    # The second point lies at 7.5 places from the left and 2.5 from the top: in the middle of place (2, 7).
    assert (after(2, 7) - before).abs().amax() > 1e-3
    torch.testing.assert_close(after(0, 9), before)


def test_a_point_that_is_seen_elsewhere_moves_the_answer_boundedly() -> None:
    made, seen = look(), sight()
    there = replace(seen, points=ANSWERED)
    near, far, farther = (made(replace(there, points=ANSWERED + off), ANSWERED, TURN) for off in (0.01, 0.2, 0.6))
    assert (near - made(there, ANSWERED, TURN)).abs().amax() > 1e-3
    torch.testing.assert_close(far, farther)


def test_all_layers_learn_from_a_first_step_and_the_places_send_no_gradient() -> None:
    made, seen = look(), sight()
    answered = ANSWERED.clone().requires_grad_()
    made(map_tensors(seen, lambda value: value.requires_grad_()), answered, TURN).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in made.parameters())
    assert answered.grad is None


def test_a_model_with_it_answers_at_first_as_one_without() -> None:
    torch.manual_seed(0)
    plain = toy_reconstructor(points=True)
    looking = toy_reconstructor(points=True, aligned_look=True)
    missing = looking.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {name.split(".")[0] for name in missing} == {"aligned_look", "backbone"}
    image, camera = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(2)
    with torch.no_grad():
        expected, given = plain(image, camera), looking(image, camera)
    torch.testing.assert_close(given.landmarks68_image, expected.landmarks68_image)
    assert looking.aligned_look is not None
    torch.nn.init.normal_(looking.aligned_look.step.bias, std=0.1)
    with torch.no_grad():
        moved = looking(image, camera)
    assert (moved.parameters.identity - expected.parameters.identity).abs().amax() > 0.01
    torch.testing.assert_close(torch.linalg.det(moved.parameters.rotation), torch.ones(2))


def test_it_needs_points() -> None:
    with pytest.raises(ValueError, match=r"encoder\.points"):
        EncoderConfig("test_resnet", aligned_look=True)
