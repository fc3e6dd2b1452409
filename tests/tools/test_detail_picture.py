from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from tools.detail_picture import picture

pytestmark = pytest.mark.slow


def test_the_released_model_adds_something_to_the_example(tmp_path: Path) -> None:
    # `examples/` is filled by `make demo`: a clean checkout that only tests has no photograph there.
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "astronaut.png")
    picture(tmp_path / "picture.png", tmp_path / "astronaut.png")
    image = cv2.imread(str(tmp_path / "picture.png"))
    assert image is not None
    image = image.astype(int)
    tiles = np.split(image, 5, axis=1)
    for one, other in zip(tiles, tiles[1:], strict=False):
        assert np.abs(one - other).mean() > 1.0
    # The last one is bare: without colour.
    assert np.ptp(tiles[4], axis=2).mean() < 10.0
    assert np.ptp(tiles[1], axis=2).mean() > 10.0


def test_a_picture_without_a_face_is_refused_by_name(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(ValueError, match=r"wall\.png: no face"):
        picture(tmp_path / "picture.png", tmp_path / "wall.png")
    assert not (tmp_path / "picture.png").exists()
