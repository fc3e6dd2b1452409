import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from data.detection import Detection, overlap
from data.detector import FaceDetector, roll_degrees
from data.image_io import decode_photograph
from data.search import FaceSearch

ASTRONAUT_BOX = np.array([178.0, 81.0, 272.0, 175.0])
ROLL = 7.0
"""Of the astronaut, by its eyes and mouth."""


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


def assert_is_the_astronaut(
    found: list[Detection], scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> None:
    assert len(found) == 1
    expected = Detection((ASTRONAUT_BOX * scale + (*shift, *shift)).astype(np.float32), found[0].points_px, 1.0)
    assert overlap(found[0], expected) > 0.6
    left_eye, right_eye, nose, mouth = found[0].features_px
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < mouth[1]


def test_the_astronaut_is_found(detector: FaceDetector, astronaut: np.ndarray) -> None:
    found = detector.detect(astronaut)
    assert_is_the_astronaut(found)
    assert 0.8 < found[0].score <= 1.0
    assert found[0].roll_degrees == 0.0
    assert_is_the_astronaut(detector.detect(astronaut, largest_face=True))


def test_the_largest_face_of_a_portrait_is_found_without_a_search_for_small_ones(
    detector: FaceDetector, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    portrait = np.ascontiguousarray(astronaut[:260, 100:360])
    scales: list[float] = []
    propose = FaceSearch._proposals

    def watched(self: FaceSearch, image_srgb: np.ndarray, scale: float) -> list[Detection]:
        scales.append(scale)
        return propose(self, image_srgb, scale)

    monkeypatch.setattr(FaceSearch, "_proposals", watched)
    (quickly,) = detector.detect(portrait, largest_face=True)
    assert len(scales) == 1
    (thoroughly,) = detector.detect(portrait)
    # What looked like a small face was looked for once more, finer.
    planned = detector.plan(260, 260)
    assert scales[1:] in ([*planned.scales], [*planned.scales, planned.finer_scale])
    assert len(scales) > 2
    assert overlap(quickly, thoroughly) > 0.7


def test_also_when_the_camera_was_held_sideways(detector: FaceDetector, astronaut: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(astronaut, 1))).save(buffer, "JPEG", exif=exif)
    assert_is_the_astronaut(detector.detect(decode_photograph(buffer.getvalue(), "astronaut")))


@pytest.mark.parametrize("size", [160, 2000])
def test_large_and_small_photographs(detector: FaceDetector, astronaut: np.ndarray, size: int) -> None:
    resized = np.asarray(Image.fromarray(astronaut).resize((size, size), Image.Resampling.LANCZOS))
    found = detector.detect(resized)
    assert_is_the_astronaut(found[:1], scale=size / 512.0)


@pytest.mark.parametrize("degrees", [55, 90, 135, 180, 270])
def test_a_turned_face_is_found_with_its_turn(detector: FaceDetector, astronaut: np.ndarray, degrees: int) -> None:
    turned = Image.fromarray(astronaut).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90))
    (face,) = detector.detect(np.asarray(turned), largest_face=True)
    for roll in (face.roll_degrees, roll_degrees(face)):
        assert abs((roll - degrees - ROLL + 180.0) % 360.0 - 180.0) < 15.0
    # In a picture turned about its centre, the middle of the face turns too; PIL turns counter-clockwise.
    angle = np.radians(degrees)
    x, y = 0.5 * (ASTRONAUT_BOX[:2] + ASTRONAUT_BOX[2:]) - 256.0
    expected = np.array([x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)])
    np.testing.assert_allclose(face.center_px - 0.5 * np.array(turned.size), expected, atol=14.0)


def test_several_faces_the_largest_first(detector: FaceDetector, astronaut: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(astronaut).resize((300, 300)))
    canvas = np.zeros((512, 812, 3), np.uint8)
    canvas[:300, :300], canvas[:, 300:] = small, astronaut
    found = detector.detect(canvas)
    assert len(found) == 2
    assert found[0].area_px > 2.0 * found[1].area_px
    assert_is_the_astronaut(found[:1], shift=(300.0, 0.0))
    assert_is_the_astronaut(detector.detect(canvas, largest_face=True), shift=(300.0, 0.0))


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


def test_faces_that_are_too_small_or_too_unsure_are_left_out(astronaut: np.ndarray) -> None:
    assert FaceDetector(min_face_px=160.0).detect(astronaut) == []
    assert FaceDetector(min_score=1.0).detect(astronaut) == []
    with pytest.raises(ValueError, match="min_face=0"):
        FaceDetector(min_face_px=0.0)
    with pytest.raises(ValueError, match=r"min_score=0.1: expected 0.3 to 1"):
        FaceDetector(min_score=0.1)


def test_a_photograph_that_is_too_large_says_so(detector: FaceDetector) -> None:
    assert detector.search_note(np.broadcast_to(np.uint8(0), (3000, 12000, 3))) == ""
    note = detector.search_note(np.broadcast_to(np.uint8(0), (10000, 20000, 3)))
    assert note.startswith("faces under 48 px were not looked for: 20000 x 10000 px")
