"""Eyeballs in the photograph's colours, round, whatever lies over them in the photograph."""

import cv2
import numpy as np
import pytest

from model.look.eyes import draw_eyes, eye_colors
from model.look.face_result import FaceResult
from tests.released_face import MISSING, PHOTOGRAPH_PX, REASON, part_atlas, released_face, released_model

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
IRIS, WHITE, SKIN = (70, 110, 140), (205, 200, 198), (190, 150, 130)


def seen() -> np.ndarray:
    """As a photograph shows eyes: what is far from the lids' edges, upper and lower."""
    model = released_model()
    mean, eyes = model.mean_mm.numpy(), model.region("eyes").numpy()
    return (eyes & (np.abs(mean[:, 1]) < 4.5) & (mean[:, 2] > 5.0)).astype(np.float32)


def photograph(result: FaceResult, moved_px: float = 0.0, highlight: bool = True) -> np.ndarray:
    """White eyes with coloured irises and a window's reflection."""
    picture = np.full((PHOTOGRAPH_PX, PHOTOGRAPH_PX, 3), SKIN, np.uint8)
    model = released_model()
    for side in ("left_eye", "right_eye"):
        own = result.vertices_image[model.region(side).numpy()]
        x, y, _ = own[own[:, 2].argmin()]
        mm = result.intrinsics_px[0, 0] / own[:, 2].min()
        centre = (round(16 * (x + moved_px - 0.5)), round(16 * (y - 0.5)))
        cv2.circle(picture, centre, round(16 * 11.0 * mm), WHITE, -1, cv2.LINE_AA, 4)
        cv2.circle(picture, centre, round(16 * 5.7 * mm), IRIS, -1, cv2.LINE_AA, 4)
        cv2.circle(picture, centre, round(16 * 1.9 * mm), (12, 10, 10), -1, cv2.LINE_AA, 4)
        if highlight:
            cv2.circle(picture, (centre[0] + 20, centre[1] - 20), round(16 * 1.6 * mm), (255, 255, 255), -1, 8, 4)
    return picture


@pytest.mark.parametrize("moved_px", [0.0, 1.5])
def test_iris_and_white_have_the_photographed_colour_without_the_highlight(moved_px: float) -> None:
    result = released_face()
    found = eye_colors(result, photograph(result, moved_px), seen(), part_atlas("eyes", 256))
    assert found.iris is not None
    assert found.white is not None
    np.testing.assert_allclose(255.0 * found.iris, IRIS, atol=14.0)
    np.testing.assert_allclose(255.0 * found.white, WHITE, atol=14.0)


def test_hidden_eyes_tell_nothing() -> None:
    result = released_face()
    found = eye_colors(result, photograph(result), np.zeros_like(seen()), part_atlas("eyes"))
    assert found.iris is None
    assert found.white is None


def test_the_iris_is_round_dark_in_the_middle_and_at_its_rim() -> None:
    model, atlas = released_model(), part_atlas("eyes", 512)
    iris = np.float32(IRIS) / 255.0
    picture = draw_eyes(iris, np.float32(WHITE) / 255.0, atlas)
    # On the eyeball itself, by the angle from its axis.
    place = atlas.sample(model.mean_mm.numpy())
    values = picture[atlas.covered].astype(float)
    pupils = model.landmarks(model.mean_mm[None], "mediapipe478")[0].numpy()[[473, 468]]
    for pupil, sign in zip(pupils, (1.0, -1.0), strict=True):
        own = place[:, 0] * sign > 0.0
        centre = np.array([sign * 31.06, -0.1, -5.5])
        axis = pupil - centre
        axis /= np.linalg.norm(axis)
        offset = place[own] - centre
        angle = np.degrees(np.arccos((offset @ axis / np.linalg.norm(offset, axis=1)).clip(-1.0, 1.0)))
        brightness = values[own].mean(1)
        middle, ring, white = angle < 4.0, (angle > 9.0) & (angle < 15.0), (angle > 24.0) & (angle < 30.0)
        assert brightness[middle].max() < 40.0
        np.testing.assert_allclose(values[own][ring].mean(0), IRIS, atol=25.0)
        rim = (angle > 18.0) & (angle < 19.5)
        assert brightness[rim].mean() < 0.9 * brightness[ring].mean()
        assert brightness[white].mean() > 1.5 * brightness[ring].mean()


def test_without_colours_it_is_a_common_eye() -> None:
    picture = draw_eyes(None, None, part_atlas("eyes", 256))
    assert picture.std() > 20.0
