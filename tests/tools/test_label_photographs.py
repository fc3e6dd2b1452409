from pathlib import Path

import numpy as np
import torch

from data.shards import write_shard
from inference.faces import FaceReconstructor
from tests.data.data_scenes import encoded, stored_face
from tests.small_world import toy_reconstructor
from tools.label_photographs import _read, label, label_shard


def faces() -> FaceReconstructor:
    return FaceReconstructor(toy_reconstructor(), torch.device("cpu"))


def test_a_face_without_landmarks_gets_those_that_the_model_sees() -> None:
    sample = stored_face(labelled=False)
    (labelled,) = label(faces(), [sample])
    points = labelled.landmarks68_px
    assert points is not None
    assert labelled.landmarks68_weight == 1.0
    # An untrained head looks at the camera out of the middle of its window.
    middle = points[:, :2].mean(0)
    np.testing.assert_allclose(middle, sample.window.center_px, atol=0.15 * sample.window.side_px)
    box = np.sqrt(np.prod(np.ptp(points[:, :2], axis=0)))
    assert 0.4 < box / sample.window.side_px < 0.9
    # The label's window is the one around the landmarks.
    np.testing.assert_allclose(labelled.window.side_px, 1.5 * box, rtol=1e-3)
    assert labelled.landmarks478_weight == 1.0
    assert labelled.landmarks478_px is not None
    np.testing.assert_allclose(labelled.landmarks478_px.mean(0), middle, atol=0.15 * box)


def test_z_points_to_the_viewer_in_pixels() -> None:
    (labelled,) = label(faces(), [stored_face(labelled=False)])
    points = labelled.landmarks68_px
    assert points is not None
    assert abs(points[:, 2].mean()) < 1e-3
    tip_of_the_nose, ear = points[30], points[0]
    assert tip_of_the_nose[2] > ear[2] + 0.2 * np.ptp(points[:, 0])
    assert np.ptp(points[:, 2]) < 2.0 * np.ptp(points[:, 0])


def test_a_shard_is_labelled_in_place_once_and_its_pixels_stay(tmp_path: Path) -> None:
    plain = encoded(2, "plain", labelled=False)
    path = tmp_path / "train-000000.tar"
    write_shard(path, [*plain, *encoded(1, "known")])
    before = _read(path)
    assert label_shard(path, faces()) == 2
    after = _read(path)
    assert list(after) == list(before)
    for key, members in before.items():
        assert after[key]["jpg"] == members["jpg"]
        assert {"landmarks68.npy", "landmarks478.npy"} <= set(after[key])
    assert after["known-0"] == before["known-0"]
    written = path.read_bytes()
    assert label_shard(path, faces()) == 0
    assert path.read_bytes() == written
