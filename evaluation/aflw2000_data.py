"""AFLW2000-3D as its authors give it: `image*.jpg` beside `image*.mat`. Only ever used for testing.

Zhu et al., "Face Alignment Across Large Poses: A 3D Solution" (CVPR 2016).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat
from scipy.io.matlab import MatReadError


@dataclass(frozen=True)
class TrueFace:
    """One picture's ground truth.

    Attributes:
        image_path: The picture.
        landmarks68_px: iBUG's 68 points, hidden ones on the true contour.
        pose_degrees: Yaw, pitch and roll in this data set's own convention.
    """

    image_path: Path
    landmarks68_px: Float[np.ndarray, "68 2"]
    pose_degrees: Float[np.ndarray, "3"]


def read_aflw2000(folder: Path) -> list[TrueFace]:
    """Read all ground truth of a folder, sorted by name.

    Raises:
        FileNotFoundError: If the folder, all `.mat` files or a picture is missing.
        ValueError: If a `.mat` file is not one of AFLW2000-3D.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; --data names the unpacked AFLW2000-3D")
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise FileNotFoundError(f"{folder}: holds no .mat file; --data names the unpacked AFLW2000-3D")
    return [_read_face(path) for path in paths]


def _read_face(path: Path) -> TrueFace:
    image_path = path.with_suffix(".jpg")
    if not image_path.is_file():
        raise FileNotFoundError(f"{image_path}: missing beside {path.name}")
    try:
        content = loadmat(path, variable_names=["pt3d_68", "Pose_Para"])
        points, pose = content["pt3d_68"], content["Pose_Para"].reshape(-1)
    except (KeyError, TypeError, ValueError, OSError, NotImplementedError, MatReadError) as error:
        raise ValueError(f"{path}: not an annotation of AFLW2000-3D ({error!r})") from error
    if points.shape != (3, 68) or len(pose) < 3:
        raise ValueError(f"{path}: pt3d_68 has shape {points.shape}, Pose_Para {pose.shape}; expected (3, 68) and (7,)")
    pitch, yaw, roll = np.degrees(pose[:3].astype(np.float64))
    return TrueFace(image_path, points[:2].T.astype(np.float64), np.array([yaw, pitch, roll]))


def pose_from_rotation(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Yaw, pitch and roll in degrees as AFLW2000-3D counts them, from our rotation.

    There, R = Rx(pitch) Ry(yaw) Rz(roll) with elementary rotations of the opposite sense to ours.
    """
    yaw = -np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
    pitch = np.arctan2(rotation[1, 2], rotation[2, 2])
    roll = np.arctan2(rotation[0, 1], rotation[0, 0])
    return np.degrees(np.array([yaw, pitch, roll]))
