import math

import pytest
import torch

from model.geometry.rotation import (
    euler_from_rotation,
    rotation_from_6d,
    rotation_from_euler,
    rotation_from_vector,
)

RIGHT = math.radians(90.0)


@pytest.mark.parametrize(
    ("yaw_pitch_roll", "point", "expected"),
    [
        ((RIGHT, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)),
        ((0.0, RIGHT, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
        ((0.0, 0.0, RIGHT), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        # Pitch is applied first, roll last: the nose looks down, then the head turns (about the vertical, so it still
        # looks down), then it rolls.
        ((RIGHT, RIGHT, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
        ((RIGHT, 0.0, RIGHT), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    ],
)
def test_worked_numbers(
    yaw_pitch_roll: tuple[float, ...], point: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    rotation = rotation_from_euler(torch.tensor(yaw_pitch_roll))
    torch.testing.assert_close(rotation @ torch.tensor(point), torch.tensor(expected), atol=1e-6, rtol=0.0)


def random_angles(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    limits = torch.tensor([0.49 * math.pi, 0.99 * math.pi, 0.99 * math.pi], dtype=torch.float64)
    return (2.0 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1.0) * limits


def test_euler_angles_come_back() -> None:
    angles = random_angles(200)
    torch.testing.assert_close(euler_from_rotation(rotation_from_euler(angles)), angles)


@pytest.mark.parametrize("yaw", [RIGHT, -RIGHT])
def test_at_a_full_profile_the_angles_still_give_the_same_rotation(yaw: float) -> None:
    rotation = rotation_from_euler(torch.tensor([yaw, 0.3, 0.1], dtype=torch.float64))
    again = rotation_from_euler(euler_from_rotation(rotation))
    torch.testing.assert_close(again, rotation, atol=1e-6, rtol=0.0)


def test_6d_is_orthonormal_whatever_goes_in() -> None:
    generator = torch.Generator().manual_seed(0)
    rotation = rotation_from_6d(10.0 * torch.randn(4, 25, 6, generator=generator, dtype=torch.float64))
    identity = torch.eye(3, dtype=torch.float64).expand(4, 25, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4, 25, dtype=torch.float64))


def test_6d_reproduces_a_rotation_from_its_first_two_columns() -> None:
    rotation = rotation_from_euler(random_angles(50))
    six = torch.cat((rotation[..., 0], rotation[..., 1]), dim=-1)
    torch.testing.assert_close(rotation_from_6d(six), rotation)


def test_6d_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    six = torch.randn(3, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotation_from_6d, (six,))


def test_a_vector_turns_about_itself_by_its_length() -> None:
    vectors = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    skew = torch.linalg.cross(vectors[:, None].expand(-1, 3, -1), axes, dim=-1).mT
    torch.testing.assert_close(rotation_from_vector(vectors), torch.linalg.matrix_exp(skew))
    torch.testing.assert_close((rotation_from_vector(vectors) @ vectors[..., None])[..., 0], vectors)


def test_no_turn_is_the_identity_and_has_a_gradient() -> None:
    still = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(rotation_from_vector(still), torch.eye(3, dtype=torch.float64))
    assert torch.autograd.gradcheck(rotation_from_vector, (still,))
