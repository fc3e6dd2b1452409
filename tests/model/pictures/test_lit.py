from functools import cache

import numpy as np

from model.look.atlas import Atlas, build_atlas
from model.look.head_look import HeadLook, head_look
from model.pictures.lit import draw_lit, draw_unlit, turned_view
from tests.small_gallery import toy_face
from tests.small_world import toy_reconstructor

RECONSTRUCTOR = toy_reconstructor()
HEAD = RECONSTRUCTOR.morphable_model
FACE = toy_face(RECONSTRUCTOR)
SIZE = 96


@cache
def atlas() -> Atlas:
    return build_atlas(HEAD, 128)


@cache
def look() -> HeadLook:
    return head_look(FACE, np.full((240, 200, 3), (180, 130, 110), np.uint8), HEAD, (atlas(),), None)


def halves(lamp: tuple[float, float, float]) -> tuple[float, float]:
    """Mean brightness of the head's left and right half in the picture."""
    picture, covered = draw_lit(FACE, look(), (atlas(),), turned_view(FACE, 0.0, 0.0, SIZE), lamp)
    left, right = picture[:, : SIZE // 2], picture[:, SIZE // 2 :]
    return float(left[covered[:, : SIZE // 2]].mean()), float(right[covered[:, SIZE // 2 :]].mean())


def test_the_side_that_faces_the_lamp_is_the_brighter_one() -> None:
    left, right = halves((-1.0, 0.0, 0.3))
    assert left > 1.4 * right
    left, right = halves((1.0, 0.0, 0.3))
    assert right > 1.4 * left


def test_a_lamp_behind_the_head_leaves_the_room_alone() -> None:
    assert max(halves((0.0, 0.0, -1.0))) < 0.7 * min(halves((0.0, 0.0, 1.0)))


def test_the_unlit_head_shows_the_photograph_and_turning_moves_it() -> None:
    front = draw_unlit(FACE, look(), (atlas(),), turned_view(FACE, 0.0, 0.0, SIZE))
    drawn = front[front.any(-1)].astype(int)
    # What is completed is a dozen steps darker than the photograph's one colour.
    assert (np.abs(drawn - (180, 130, 110)).max(-1) <= 16).mean() > 0.5
    assert (draw_unlit(FACE, look(), (atlas(),), turned_view(FACE, 60.0, 0.0, SIZE)) != front).any()
