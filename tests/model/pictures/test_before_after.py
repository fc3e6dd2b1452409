"""What a refinement changed can be seen side by side."""

from dataclasses import replace

import numpy as np
import pytest

from model.pictures.before_after import draw_before_after
from tests.model.refine.refined_faces import MODEL, SIZE, refined_face


def tile(picture: np.ndarray, number: int) -> np.ndarray:
    """One of the pictures side by side, without the title above it."""
    return picture[-SIZE:, number * SIZE : (number + 1) * SIZE].astype(float)


def test_before_and_after_show_what_changed() -> None:
    picture = draw_before_after(refined_face(), MODEL)
    assert picture.shape[1] == 6 * SIZE
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    photograph, before, after = (tile(picture, number)[middle, middle].mean() for number in range(3))
    assert photograph == pytest.approx(127.5, abs=3.0)
    assert after > before + 10.0


def test_a_black_and_white_photographs_renderings_are_black_and_white() -> None:
    face = refined_face()
    picture = draw_before_after(replace(face, crop=replace(face.crop, color=False)), MODEL)
    for number in (1, 2, 3, 4):
        assert np.ptp(tile(picture, number), axis=-1).max() == 0


def test_what_was_ray_traced_is_shown_instead_of_the_rasters_rendering() -> None:
    drawn = tile(draw_before_after(refined_face(raytraced=True), MODEL), 2)[SIZE // 2, SIZE // 2]
    # 0.8 in linear RGB is 231 of 255 in sRGB.
    np.testing.assert_allclose(drawn, 231.0, atol=3.0)
