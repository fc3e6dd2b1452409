from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from data.blazeface import BlazeFace


@pytest.fixture(scope="module")
def network() -> BlazeFace:
    return BlazeFace()


def seen(size: int) -> np.ndarray:
    return cv2.resize(skimage.data.astronaut(), (size, size), interpolation=cv2.INTER_AREA)


def test_the_face_is_found_at_any_scale_that_the_network_knows(network: BlazeFace) -> None:
    for size in (110, 128, 300):
        (face,) = network.look(seen(size), 0.7)
        np.testing.assert_allclose(face.box_px * 512.0 / size, (178.0, 81.0, 272.0, 175.0), atol=10.0)
        left_eye, right_eye, nose, mouth, left_ear, right_ear = face.points_px
        assert left_ear[0] < left_eye[0] < nose[0] < right_eye[0] < right_ear[0]
        assert left_eye[1] < nose[1] < mouth[1]


def test_several_pictures_at_once_are_as_one_after_the_other(network: BlazeFace) -> None:
    pictures = np.stack([seen(128), np.zeros((128, 128, 3), np.uint8), np.ascontiguousarray(seen(128)[:, ::-1])])
    for picture, together in zip(pictures, network.look_at_all(pictures, 0.5), strict=True):
        alone = network.look(picture, 0.5)
        assert len(alone) == len(together)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one.box_px, other.box_px, atol=1e-3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.onnx"):
        BlazeFace(tmp_path / "no.onnx")
