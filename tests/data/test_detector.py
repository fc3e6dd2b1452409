import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from data.detection import Detection
from data.detector import FaceDetector, agreed_faces, overlap, without_duplicates
from data.image_io import decode_photograph


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


ASTRONAUT_BOX = np.array([180.0, 60.0, 268.0, 172.0])


def face(left: float, top: float, side: float, score: float) -> Detection:
    box = np.array([left, top, left + side, top + side], np.float32)
    return Detection(box, np.zeros((5, 2), np.float32), score)


def assert_is_the_astronaut(
    found: list[Detection], scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> None:
    assert len(found) == 1
    expected = Detection((ASTRONAUT_BOX * scale + (*shift, *shift)).astype(np.float32), found[0].points_px, 1.0)
    assert overlap(found[0], expected) > 0.6
    left_eye, right_eye, nose, left_mouth, right_mouth = found[0].points_px
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_the_astronaut_is_found(detector: FaceDetector, astronaut: np.ndarray) -> None:
    found = detector.detect(astronaut)
    assert_is_the_astronaut(found)
    assert 0.9 < found[0].score <= 1.0


def test_also_when_the_camera_was_held_sideways(detector: FaceDetector, astronaut: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(astronaut, 1))).save(buffer, "JPEG", exif=exif)
    assert_is_the_astronaut(detector.detect(decode_photograph(buffer.getvalue(), "astronaut")))


@pytest.mark.parametrize("size", [160, 2000])
def test_large_and_small_photographs(detector: FaceDetector, astronaut: np.ndarray, size: int) -> None:
    resized = np.asarray(Image.fromarray(astronaut).resize((size, size), Image.Resampling.LANCZOS))
    assert_is_the_astronaut(detector.detect(resized), scale=size / 512.0)


def test_a_face_that_lies_on_its_side_is_found_in_another_view(detector: FaceDetector, astronaut: np.ndarray) -> None:
    turned = np.asarray(Image.fromarray(astronaut).rotate(55, Image.Resampling.BICUBIC, center=(224, 116)))
    found = detector.detect(turned)
    assert len(found) == 1
    center = 0.5 * (found[0].box_px[:2] + found[0].box_px[2:])
    np.testing.assert_allclose(center, (224, 116), atol=25)


def test_several_faces_the_largest_first(detector: FaceDetector, astronaut: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(astronaut).resize((300, 300)))
    canvas = np.zeros((512, 812, 3), np.uint8)
    canvas[:300, :300], canvas[:, 300:] = small, astronaut
    found = detector.detect(canvas)
    assert len(found) == 2
    assert found[0].area_px > 2.0 * found[1].area_px
    assert_is_the_astronaut(found[:1], shift=(300.0, 0.0))


def test_the_same_photograph_gives_the_same_faces(detector: FaceDetector, astronaut: np.ndarray) -> None:
    one, two = detector.detect(astronaut), detector.detect(astronaut)
    np.testing.assert_array_equal(one[0].box_px, two[0].box_px)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coffee", "page", "text", "rocket", "clock", "brick"])
def test_no_faces_where_there_are_none(detector: FaceDetector, name: str) -> None:
    picture = np.asarray(getattr(skimage.data, name)())
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    assert detector.detect(np.ascontiguousarray(picture[..., :3])) == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (1000, 3), (39, 39)])
def test_odd_shapes_are_no_problem(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 200, np.uint8)) == []


def test_a_view_alone_must_be_certain() -> None:
    assert agreed_faces([[], [face(0, 0, 10, 0.85)]]) == []
    certain = face(0, 0, 10, 0.95)
    assert agreed_faces([[], [certain]]) == [certain]


def test_views_can_agree() -> None:
    one, two = face(0, 0, 10, 0.8), face(1, 0, 10, 0.75)
    assert agreed_faces([[one], [two]]) == [one]
    assert agreed_faces([[one], [face(50, 0, 10, 0.75)]]) == []
    # A view does not agree with itself.
    assert agreed_faces([[one, two], []]) == []


def test_empty_boxes_end() -> None:
    assert agreed_faces([[face(0, 0, 0, 0.5), face(0, 0, 0, 0.5)]]) == []


def test_duplicates_are_dropped() -> None:
    best, inside, beside = face(0, 0, 20, 0.99), face(5, 5, 8, 0.9), face(30, 0, 20, 0.9)
    assert without_duplicates([inside, best, beside]) == [best, beside]
