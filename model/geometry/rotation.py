"""Rotations: column vectors, multiplied from the left, right-handed.

Head pose is `R = Rz(roll) @ Ry(yaw) @ Rx(pitch)`, from model space to camera space. For a head that faces the
camera R is the identity; yaw > 0 turns the face to the subject's left (the image's right), pitch > 0 makes it look
down, roll > 0 turns it counter-clockwise in the image.

Worked number: yaw = 90 degrees carries the nose direction (0, 0, 1) to (1, 0, 0).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_from_6d(six: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices from the continuous 6D form (Zhou et al., CVPR 2019, equation 15).

    Args:
        six: The first two columns of the matrix, before orthonormalisation. (1, 0, 0, 0, 1, 0) is the identity.

    Returns:
        Orthonormal matrices with determinant 1.
    """
    first = torch.nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.linalg.cross(first, second, dim=-1)
    return torch.stack((first, second, third), dim=-1)


def rotation_from_euler(yaw_pitch_roll_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """`Rz(roll) @ Ry(yaw) @ Rx(pitch)` from (yaw, pitch, roll) in radians."""
    (sy, sp, sr), (cy, cp, cr) = (
        torch.sin(yaw_pitch_roll_rad).unbind(-1),
        torch.cos(yaw_pitch_roll_rad).unbind(-1),
    )
    return torch.stack(
        (
            cr * cy,
            cr * sy * sp - sr * cp,
            cr * sy * cp + sr * sp,
            sr * cy,
            sr * sy * sp + cr * cp,
            sr * sy * cp - cr * sp,
            -sy,
            cy * sp,
            cy * cp,
        ),
        dim=-1,
    ).unflatten(-1, (3, 3))


def euler_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """(yaw, pitch, roll) in radians, yaw in [-pi/2, pi/2], the inverse of `rotation_from_euler`.

    At |yaw| = 90 degrees pitch and roll turn about the same axis (gimbal lock) and only their combination is defined.
    """
    yaw = torch.asin((-rotation[..., 2, 0]).clamp(-1.0, 1.0))
    pitch = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack((yaw, pitch, roll), dim=-1)


def rotation_from_vector(vector_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation about each vector by its length, in radians (Rodrigues)."""
    # The smallest square keeps the gradient of the length at zero turn.
    angle = (vector_rad.square().sum(-1) + 1e-24).sqrt()[..., None, None]
    x, y, z = vector_rad.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))
    sine, half = torch.sin(angle) / angle, torch.sin(0.5 * angle) / angle
    return torch.eye(3, dtype=angle.dtype, device=angle.device) + sine * skew + 2.0 * half.square() * (skew @ skew)
