from pathlib import Path

import numpy as np
import pytest

from data.shards import write_shard
from evaluation.hard_photographs import KINDS, LabelledPhotograph, faceless, harden, read_labelled
from tests.data.data_scenes import dot_picture, dot_position, encoded, face_points


def test_a_photograph_is_made_hard_in_every_way_and_its_points_follow() -> None:
    points = face_points()[:, :2].astype(np.float64)
    image = dot_picture(points[30])
    hard = list(harden(LabelledPhotograph("a", image, points, 0.0), np.random.default_rng(0)))
    assert [one.kind for one in hard] == list(KINDS[:-1])
    whole, covered, small, turned = hard
    assert whole.image_srgb is image
    assert np.abs(covered.image_srgb.astype(int) - image).max() > 0
    assert small.image_srgb.shape == image.shape
    assert turned.points_px is not None
    # Without the grey beyond the photograph's border.
    dot = np.where(turned.image_srgb > 120, turned.image_srgb, 0)
    np.testing.assert_allclose(dot_position(dot), turned.points_px[30], atol=0.6)


def test_pictures_without_a_face_have_three_channels() -> None:
    for picture in faceless(("text", "horse", "coffee")):
        assert picture.points_px is None
        assert picture.image_srgb.dtype == np.uint8
        assert picture.image_srgb.shape[2] == 3


def test_labels_come_from_shards_as_well(tmp_path: Path) -> None:
    write_shard(tmp_path / "val-000000.tar", encoded(4))
    read = list(read_labelled(tmp_path, every=2))
    assert len(read) == 2
    assert read[0].points_px.shape == (68, 2)
    with pytest.raises(FileNotFoundError):
        list(read_labelled(tmp_path / "none"))
