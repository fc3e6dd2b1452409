import pytest
import torch

from model.encoder.parameter_head import ParameterHead, to_unit_interval
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from tests.small_world import crop_camera, toy_head

SIZE = 64


@pytest.fixture
def head() -> ParameterHead:
    model = MorphableModel(toy_head())
    return ParameterHead(8, 6, 52, 4, model.landmarks(model.mean_mm[None])[0])


def features(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 8, generator=torch.Generator().manual_seed(0))


def test_the_unit_interval_clamps() -> None:
    raw = torch.tensor([-3.0, 0.0, 0.4, 1.0, 2.0])
    torch.testing.assert_close(to_unit_interval(raw), torch.tensor([0.0, 0.0, 0.4, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("raw", "gradient", "passes"),
    [
        (0.4, 1.0, True),
        (0.4, -1.0, True),
        # A step against the gradient leads inside, so it passes ...
        (-0.5, -1.0, True),
        (1.5, 1.0, True),
        # ... and it leads further outside, so it is stopped.
        (-0.5, 1.0, False),
        (1.5, -1.0, False),
        # At the borders, where an untrained weight lies, it passes both ways.
        (0.0, 1.0, True),
        (0.0, -1.0, True),
    ],
)
def test_the_gradient_of_the_unit_interval_never_dies_towards_the_inside(
    raw: float, gradient: float, passes: bool
) -> None:
    value = torch.tensor([raw], requires_grad=True)
    to_unit_interval(value).backward(torch.tensor([gradient]))
    assert value.grad is not None
    assert value.grad.item() == (gradient if passes else 0.0)


def test_descent_leaves_a_wrong_side_and_stops_at_the_border() -> None:
    raw = torch.tensor([-0.3, 1.4, 0.5], requires_grad=True)
    target = torch.tensor([0.8, 0.2, 2.0])
    optimizer = torch.optim.SGD([raw], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        (to_unit_interval(raw) - target).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(to_unit_interval(raw.detach()), torch.tensor([0.8, 0.2, 1.0]), atol=1e-3, rtol=0.0)
    assert raw[2] < 1.5


def test_untrained_features_do_not_matter(head: ParameterHead) -> None:
    first, second = (head(scale * features(), crop_camera(2), SIZE) for scale in (1.0, -7.0))
    for name in ("identity", "expression", "albedo", "rotation", "translation_mm", "lighting"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_the_anchor_lands_on_its_pixel_however_the_head_is_turned(head: ParameterHead) -> None:
    torch.manual_seed(0)
    torch.nn.init.normal_(head.rotation.weight, std=1.0)
    torch.nn.init.normal_(head.placement.weight, std=0.1)
    parameters = head(features(), crop_camera(2), SIZE)
    pixel = project(parameters.to_camera(head.anchor_mm.expand(2, 1, 3)), crop_camera(2))[:, 0]
    # As the camera's modulation is untrained, features reach the layers as they are.
    _, offset = head.placement(features()).split((1, 2), dim=-1)
    torch.testing.assert_close(pixel[:, :2], SIZE * (offset + torch.tensor([0.5, 0.56])), atol=1e-3, rtol=0.0)


def test_a_larger_face_is_nearer(head: ParameterHead) -> None:
    before = head(features(), crop_camera(2), SIZE).translation_mm[:, 2]
    torch.nn.init.constant_(head.placement.bias, 0.0)
    with torch.no_grad():
        head.placement.bias[0] = 0.5
    after = head(features(), crop_camera(2), SIZE).translation_mm[:, 2]
    assert (after > before).all()


def test_the_head_moves_away_with_the_focal_length(head: ParameterHead) -> None:
    near, far = (head(features(), crop_camera(2, SIZE, focal), SIZE).translation_mm[:, 2] for focal in (2.0, 8.0))
    torch.testing.assert_close(far, 4.0 * near, rtol=0.2, atol=0.0)


def test_the_camera_can_change_how_features_are_read(head: ParameterHead) -> None:
    torch.manual_seed(0)
    for layer in (head.camera, head.identity):
        torch.nn.init.normal_(layer.weight)
    wide, narrow = (head(features(), crop_camera(2, SIZE, focal), SIZE).identity for focal in (2.0, 8.0))
    assert (wide - narrow).abs().max() > 0.1


def test_rotations_are_rotations(head: ParameterHead) -> None:
    torch.manual_seed(0)
    torch.nn.init.normal_(head.rotation.weight, std=2.0)
    rotation = head(features(6), crop_camera(6), SIZE).rotation
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(6, 3, 3), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(6))
