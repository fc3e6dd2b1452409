import numpy as np
import pytest
import skimage.data
from PIL import Image

from data.detection import Detection, overlap
from data.mtcnn import MtcnnDetector, agreed_faces


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


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


def test_the_astronaut_is_found(detector: MtcnnDetector, astronaut: np.ndarray) -> None:
    found = detector.detect(astronaut)
    assert_is_the_astronaut(found)
    assert 0.9 < found[0].score <= 1.0


def test_a_face_that_lies_on_its_side_is_found_in_another_view(detector: MtcnnDetector, astronaut: np.ndarray) -> None:
    turned = np.asarray(Image.fromarray(astronaut).rotate(55, Image.Resampling.BICUBIC, center=(224, 116)))
    found = detector.detect(turned)
    assert len(found) == 1
    center = 0.5 * (found[0].box_px[:2] + found[0].box_px[2:])
    np.testing.assert_allclose(center, (224, 116), atol=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coffee", "page", "text", "rocket", "clock", "brick"])
def test_no_faces_where_there_are_none(detector: MtcnnDetector, name: str) -> None:
    picture = np.asarray(getattr(skimage.data, name)())
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    assert detector.detect(np.ascontiguousarray(picture[..., :3])) == []


def test_the_last_network_confirms_a_face_and_not_its_surroundings(
    detector: MtcnnDetector, astronaut: np.ndarray
) -> None:
    seen = Detection(np.array([178, 81, 272, 175], np.float32), np.zeros((6, 2), np.float32), 0.9)
    beside = Detection(seen.box_px + np.float32(150.0), seen.points_px, 0.9)
    sure, unsure = detector.confirm(astronaut, [seen, beside])
    assert sure > 0.9 > 0.3 > unsure
    turned = np.ascontiguousarray(np.rot90(astronaut, 1))
    box = np.array([81, 512 - 272, 175, 512 - 178], np.float32)
    assert detector.confirm(turned, [Detection(box, seen.points_px, 0.9, 90.0)])[0] == pytest.approx(sure, abs=0.05)
    assert len(detector.confirm(astronaut, [])) == 0


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (1000, 3), (39, 39)])
def test_odd_shapes_are_no_problem(detector: MtcnnDetector, shape: tuple[int, int]) -> None:
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
