"""Blendshapes beside annotated photographs; what else is read, `test_prepare.py` tests."""

from pathlib import Path

import numpy as np
import pytest

from data.blendshapes import BLENDSHAPE_NAMES, calibrated
from data.patches import labelled_sample
from data.plan import PrepareConfig
from data.readers import Labels, read_annotated
from data.shards import decode_sample, encode_sample
from tests.data.annotated import make_annotated
from tests.data.data_scenes import face_points

# MediaPipe's own order, more or less: not the alphabet, the neutral face first, no tongue.
FILE_NAMES = ("_neutral", *(name for name in reversed(BLENDSHAPE_NAMES) if name != "tongueOut"))


def turned(yaw_degrees: float) -> np.ndarray:
    """A face turned about its vertical axis."""
    points, angle = face_points(), np.radians(yaw_degrees)
    middle = points.mean(0)
    rotation = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
    return ((points - middle) @ rotation.T + middle * (1.0, 1.0, 0.0)).astype(np.float32)


def write_blendshapes(folder: Path, count: int) -> np.ndarray:
    """Write readings and return them, 0 to 255 in the file's order."""
    readings = np.random.default_rng(1).integers(0, 256, (count, len(FILE_NAMES))).astype(np.uint8)
    np.savez(folder / "blendshapes52.npz", names=np.array(FILE_NAMES), weights_255=readings)
    return readings


def labels_of(folder: Path) -> list[Labels]:
    labels = [photograph.labels for photograph in read_annotated(folder)]
    return [each for each in labels if each is not None]


def test_readings_come_calibrated_and_in_our_order(tmp_path: Path) -> None:
    make_annotated(tmp_path, ["aflw/0.jpg", "aflw/1.jpg"])
    readings = write_blendshapes(tmp_path, 2) / np.float32(255.0)
    for row, labels in enumerate(labels_of(tmp_path)):
        by_name = dict(zip(FILE_NAMES, readings[row].tolist(), strict=True))
        expected = calibrated(np.array([by_name.get(name, 0.0) for name in BLENDSHAPE_NAMES]))
        assert labels.blendshapes is not None
        np.testing.assert_allclose(labels.blendshapes, expected, atol=1e-6)
        assert labels.blendshapes[BLENDSHAPE_NAMES.index("tongueOut")] == 0.0
        assert labels.blendshapes_weight == 1.0


def test_their_weight_fades_between_20_and_40_degrees(tmp_path: Path) -> None:
    yaws = [0.0, 18.0, -18.0, 25.0, 30.0, -30.0, 35.0, 42.0, -60.0]
    points = np.stack([turned(yaw) for yaw in yaws])
    make_annotated(tmp_path, [f"aflw/{number}.jpg" for number in range(len(yaws))], points=points)
    write_blendshapes(tmp_path, len(yaws))
    labels = labels_of(tmp_path)
    expected = [1.0, 1.0, 1.0, 0.75, 0.5, 0.5, 0.25, 0.0, 0.0]
    # The points are stored in eighths of a px.
    np.testing.assert_allclose([each.blendshapes_weight for each in labels], expected, atol=0.03)
    assert [each.blendshapes is None for each in labels] == [weight == 0.0 for weight in expected]
    # The mesh is trusted further.
    assert [each.landmarks478_weight for each in labels[:7]] == [1.0] * 7
    assert 0.5 < labels[7].landmarks478_weight < 1.0


def test_without_a_good_mesh_there_are_none(tmp_path: Path) -> None:
    disagreement = np.array([0.01, 0.2, 0.01], np.float32)
    has_mesh = np.array([False, True, True])
    names = [f"aflw/{number}.jpg" for number in range(3)]
    make_annotated(tmp_path, names, has_mesh=has_mesh, mesh_disagreement=disagreement)
    write_blendshapes(tmp_path, 3)
    labels = labels_of(tmp_path)
    assert [each.blendshapes is None for each in labels] == [True, True, False]
    assert [each.blendshapes_weight for each in labels] == [0.0, 0.0, 1.0]


def test_a_folder_need_not_have_any_and_its_shards_say_so(tmp_path: Path) -> None:
    make_annotated(tmp_path, ["aflw/0.jpg"])
    photograph = read_annotated(tmp_path)[0]
    assert photograph.labels is not None
    assert photograph.labels.blendshapes is None
    stored, _ = labelled_sample(photograph, photograph.labels, PrepareConfig(tmp_path, tmp_path / "shards"))
    assert stored.blendshapes is None
    assert stored.blendshapes_weight == 0.0
    assert "blendshapes.npy" not in encode_sample(stored)


def test_they_go_into_the_shards(tmp_path: Path) -> None:
    make_annotated(tmp_path, ["aflw/0.jpg"], points=turned(25.0)[None])
    write_blendshapes(tmp_path, 1)
    photograph = read_annotated(tmp_path)[0]
    assert photograph.labels is not None
    stored, _ = labelled_sample(photograph, photograph.labels, PrepareConfig(tmp_path, tmp_path / "shards"))
    back = decode_sample(encode_sample(stored))
    assert back.blendshapes is not None
    assert photograph.labels.blendshapes is not None
    np.testing.assert_allclose(back.blendshapes, photograph.labels.blendshapes, atol=0.5 / 255.0 + 1e-6)
    assert back.blendshapes_weight == pytest.approx(photograph.labels.blendshapes_weight)


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_rows_is_refused(tmp_path: Path, count: int) -> None:
    make_annotated(tmp_path, ["aflw/0.jpg", "aflw/1.jpg"])
    write_blendshapes(tmp_path, count)
    with pytest.raises(ValueError, match=rf"blendshapes52\.npz: {count} rows, but annotations\.npz has 2"):
        read_annotated(tmp_path)
