from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from evaluation.aflw2000_data import pose_from_rotation, read_aflw2000
from model.geometry.rotation import rotation_from_euler


def write_picture(folder: Path, name: str, **content: np.ndarray) -> None:
    (folder / f"{name}.jpg").write_bytes(b"never opened here")
    savemat(folder / f"{name}.mat", content)


def annotation(yaw: float) -> dict[str, np.ndarray]:
    points = np.stack((np.arange(68.0), 2.0 * np.arange(68.0), np.zeros(68)))
    return {"pt3d_68": points, "Pose_Para": np.radians([[5.0, yaw, -10.0, 0.0, 0.0, 0.0, 0.0]])}


def test_points_and_pose_are_read(tmp_path: Path) -> None:
    write_picture(tmp_path, "image2", **annotation(-40.0))
    write_picture(tmp_path, "image1", **annotation(20.0))
    first, second = read_aflw2000(tmp_path)
    assert (first.image_path.name, second.image_path.name) == ("image1.jpg", "image2.jpg")
    np.testing.assert_allclose(first.landmarks68_px[3], [3.0, 6.0])
    np.testing.assert_allclose(second.pose_degrees, [-40.0, 5.0, -10.0])


def test_what_is_missing_or_foreign_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_aflw2000(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no .mat"):
        read_aflw2000(tmp_path)
    write_picture(tmp_path, "image1", other=np.zeros(3))
    with pytest.raises(ValueError, match=r"image1\.mat"):
        read_aflw2000(tmp_path)
    (tmp_path / "image1.mat").write_bytes(b"no matlab file")
    with pytest.raises(ValueError, match=r"image1\.mat"):
        read_aflw2000(tmp_path)
    (tmp_path / "image1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"image1\.jpg"):
        read_aflw2000(tmp_path)


def test_pose_angles_of_single_turns() -> None:
    # Our yaw > 0 turns the face to image right, theirs to image left; a face looking down and a head tilted
    # counter-clockwise have a positive pitch and roll here, a negative one there.
    for axis in range(3):
        angles = torch.zeros(1, 3)
        angles[0, axis] = 0.4
        rotation = rotation_from_euler(angles)[0].double().numpy()
        expected = np.zeros(3)
        expected[axis] = -np.degrees(0.4)
        np.testing.assert_allclose(pose_from_rotation(rotation), expected, atol=1e-4)
