"""A head in lights that its photograph did not have."""

import numpy as np

from model.pictures.relit import draw_relit
from tests.model.refine.refined_faces import MODEL, refined_face, shown


def test_the_relit_strip_shows_the_skin_in_every_light() -> None:
    picture = draw_relit(refined_face(raytraced=True), shown(), MODEL, 24).astype(float)
    assert picture.shape[1] == 7 * 24
    tiles = [picture[-24:, 24 * number : 24 * (number + 1)] for number in range(7)]
    for first, second in zip(tiles, tiles[1:], strict=False):
        assert np.abs(first - second).mean() > 2.0
    # The lamp goes from the picture's left to its right.
    halves = [tiles[number][8:16, 8:12].mean() - tiles[number][8:16, 12:16].mean() for number in (3, 6)]
    assert halves[0] > 0 > halves[1]
