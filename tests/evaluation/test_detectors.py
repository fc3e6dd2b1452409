from pathlib import Path

import numpy as np
import pytest
import skimage.data

from common.tensors import save_tensors
from data.detection import Detection
from evaluation.detectors import (
    GROUP_SIZES_PX,
    SearchedPicture,
    compare_detectors,
    format_detectors,
    searched_pictures,
)
from evaluation.hard_photographs import LabelledPhotograph
from tests.data.data_scenes import dot_picture, dot_position, face_points

POINTS = face_points()[:, :2].astype(np.float64)


def seen(box: tuple[float, float, float, float]) -> Detection:
    return Detection(np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.9)


def test_groups_hold_every_face_at_the_size_that_they_say(tmp_path: Path) -> None:
    image = dot_picture(POINTS[30])
    # Laid out in order: safetensors writes memory as it lies.
    channels_first = np.ascontiguousarray(image.transpose(2, 0, 1))
    heads = {"image": np.stack([channels_first] * 3), "landmarks68_px": np.stack([face_points()] * 3)}
    save_tensors(heads, tmp_path / "heads-00000.safetensors", {})
    pictures = list(searched_pictures([LabelledPhotograph("a", image, POINTS, 95.0)] * 2, tmp_path))
    assert [one.group for one in pictures[:2]] == ["yaw 60-90"] * 2
    for size in GROUP_SIZES_PX:
        for name, count in (("group", 2), ("drawn", 3)):
            (picture,) = [one for one in pictures if one.group == f"{name} {size:.0f} px"]
            assert len(picture.boxes_px) == count
            for box in picture.boxes_px:
                assert np.sqrt((box[2:] - box[:2]).prod()) == pytest.approx(size, rel=0.05)
    assert len([one for one in pictures if one.group == "no face"]) > 3
    (large,) = [one for one in pictures if one.group == "drawn 96 px"]
    box = large.boxes_px[0]
    # The dot, which is the nose, has moved with the points.
    share = (POINTS[30] - POINTS.min(0)) / (POINTS.max(0) - POINTS.min(0))
    left, top, right, bottom = np.rint(box + (-20, -20, 20, 20)).astype(int).clip(0)
    nose = dot_position(large.image_srgb[top:bottom, left:right]) + (left, top)
    np.testing.assert_allclose(nose, box[:2] + share * (box[2:] - box[:2]), atol=1.0)


def test_a_tally_counts_what_is_found_missed_and_invented() -> None:
    picture = SearchedPicture(
        "group", skimage.data.astronaut(), [np.array([0.0, 0, 10, 10]), np.array([50.0, 50, 70, 70])]
    )
    portrait = SearchedPicture("yaw 0-30", picture.image_srgb, [np.array([0.0, 0, 10, 10])], others=True)
    tallies = compare_detectors(
        iter([picture, portrait]), {"one": lambda image: [seen((0, 0, 10, 9)), seen((200, 200, 230, 230))]}
    )
    assert tallies["one"].found == {"group": [1, 2], "yaw 0-30": [1, 1]}
    # Who else is in a portrait is not known.
    assert tallies["one"].false == {"group": 1}
    table = format_detectors(tallies)
    assert "1/2 (+1)" in table
    assert len(tallies["one"].milliseconds) == 1
