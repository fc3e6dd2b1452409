from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data

from data.blazeface import BlazeFace
from data.detection import Detection
from data.search import MOST_SEARCHED_PX, SURE_SCORE, FaceSearch, plan_search

FACE = (130, 0, 320, 256)


@pytest.fixture(scope="module")
def search() -> FaceSearch:
    return FaceSearch(BlazeFace())


def crowd(height: int, width: int, side: int) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The astronaut's head in rows, with faces of `side` px, and where they are."""
    left, top, right, bottom = FACE
    scale = side / 94.0
    head = skimage.data.astronaut()[top:bottom, left:right]
    head = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((height, width, 3), (120, 130, 120), np.uint8)
    places = []
    for y in range(10, height - head.shape[0], head.shape[0] + 20):
        for x in range(10, width - head.shape[1], head.shape[1] + 30):
            picture[y : y + head.shape[0], x : x + head.shape[1]] = head
            places.append((x + (225 - left) * scale, y + (128 - top) * scale))
    return picture, places


@pytest.mark.parametrize(("shape", "side"), [((400, 1900), 70), ((300, 700), 26), ((700, 1100), 200)])
def test_all_of_a_crowd_are_found_once(search: FaceSearch, shape: tuple[int, int], side: int) -> None:
    picture, places = crowd(*shape, side)
    assert len(places) >= 2
    found = search.find(picture, plan_search(shape[1], shape[0], 24.0))
    for x, y in places:
        near = [face for face in found if np.hypot(*(face.center_px - (x, y))) < 0.25 * side]
        assert len(near) == 1
    # What else there is must be confirmed.
    assert len([face for face in found if face.score >= SURE_SCORE]) <= len(places)


def test_from_coarse_to_fine_large_faces_come_first(search: FaceSearch) -> None:
    portrait, small = skimage.data.astronaut()[:260, 100:360], (24, 24)
    picture = cv2.copyMakeBorder(portrait, 0, 340, 0, 340, cv2.BORDER_CONSTANT, value=(120, 130, 120))
    head = portrait[60:190, 60:190]
    for x in (400, 480):
        picture[430 : 430 + 2 * small[0], x : x + 2 * small[1]] = cv2.resize(
            head, (48, 48), interpolation=cv2.INTER_AREA
        )
    # Without the finer look, which is for whoever wants all small faces.
    plan = replace(plan_search(600, 600, 24.0), finer_scale=None)
    found = list(search.from_coarse(picture, plan))
    assert len(found) == len(plan.scales)
    assert len(found[-1]) > len(found[0]) > 0
    assert max(face.side_px for face in found[0]) > 60.0
    whole = search.find(picture, plan)
    assert [face.score for face in found[-1]] == [face.score for face in whole]


def test_scales_reach_from_the_whole_picture_to_the_smallest_face() -> None:
    plan = plan_search(6000, 1500, 24.0)
    assert plan.scales[0] == pytest.approx(96.0 / 6000.0)
    assert plan.scales[-1] == pytest.approx(16.0 / 24.0)
    assert all(1.0 < b / a <= 4.0 + 1e-6 for a, b in zip(plan.scales, plan.scales[1:], strict=False))
    assert plan.smallest_face_px == 24.0
    # A picture that is smaller than what the network sees is enlarged, once.
    assert plan_search(60, 40, 24.0).scales == (1.6,)


def test_a_huge_picture_costs_no_more_than_is_said() -> None:
    plan = plan_search(30000, 20000, 24.0)
    assert sum(30000 * 20000 * scale**2 for scale in plan.scales) <= 1.01 * MOST_SEARCHED_PX
    assert plan.smallest_face_px == pytest.approx(16.0 / plan.scales[-1])
    assert plan.smallest_face_px > 70.0


class WatchedBlazeFace(BlazeFace):
    """Notes the longest side of what it is shown."""

    longest_px = 0

    def look(self, image_srgb: np.ndarray, least_score: float) -> list[Detection]:
        self.longest_px = max(self.longest_px, *image_srgb.shape[:2])
        return super().look(image_srgb, least_score)


def test_only_where_small_faces_are_seen_it_is_looked_for_more_of_them() -> None:
    plan = plan_search(500, 400, 24.0)
    assert plan.finer_scale == pytest.approx(1.0)
    assert plan_search(9000, 6000, 24.0).finer_scale is None
    pictures = [crowd(400, 500, 26)[0], crowd(400, 500, 80)[0]]
    longest = []
    for picture in pictures:
        network = WatchedBlazeFace()
        FaceSearch(network).find(picture, plan)
        longest.append(network.longest_px)
    assert longest == [500, 333]


def test_a_second_look_finds_a_face_upright_where_it_is_turned(search: FaceSearch) -> None:
    astronaut = skimage.data.astronaut()
    face = max(search.find(astronaut, plan_search(512, 512, 60.0)), key=lambda one: one.score)
    turned = np.ascontiguousarray(np.rot90(astronaut, 2))
    box = np.concatenate((512.0 - face.box_px[2:], 512.0 - face.box_px[:2])).astype(np.float32)
    upside_down = type(face)(box, face.points_px, 0.5)
    (upright,) = search.second_looks(turned, [upside_down], 180.0)
    assert upright is not None
    assert upright.score > 0.8
    assert upright.roll_degrees == 180.0
    np.testing.assert_allclose(upright.points_px, 512.0 - face.points_px, atol=8.0)
