"""Rotations as unit quaternions (x, y, z, w), as glTF has them; a track of them is continuous."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation


def quaternions_from_rotations(rotations: Float[np.ndarray, "frame 3 3"]) -> Float[np.ndarray, "frame 4"]:
    """Unit quaternions, each on the side of the one before: the way between them is short, and they can be filtered."""
    found = Rotation.from_matrix(rotations).as_quat()
    turns = np.where((found[1:] * found[:-1]).sum(1) < 0.0, -1.0, 1.0)
    return found * np.concatenate(([1.0], np.cumprod(turns)))[:, None]


def rotations_from_quaternions(quaternions: Float[np.ndarray, "frame 4"]) -> Float[np.ndarray, "frame 3 3"]:
    """Rotations of quaternions of any length but zero."""
    return Rotation.from_quat(quaternions).as_matrix()
