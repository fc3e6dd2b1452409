"""The skin's chart: one piece that fills its tile, without folds, with more room for what is asked for."""

from functools import cache

import numpy as np
import pytest
import trimesh

from tests.tools.head.half_ball import half_ball
from tests.tools.head.synthetic_half import overlapping_pixels, texture_areas
from tools.head.exposure import exposure
from tools.head.flatten import Frame, flatten
from tools.head.skin_chart import SkinWishes, skin_chart


def wishes(share: np.ndarray | float = 1.0) -> SkinWishes:
    count = len(half_ball()[0])
    return SkinWishes(np.ones(count) * share, np.ones(count))


@cache
def chart() -> tuple[np.ndarray, np.ndarray]:
    return skin_chart(*half_ball(), wishes())


def test_it_fills_the_half_tile_without_a_fold() -> None:
    uv, used = chart()
    vertices, _, faces = half_ball()
    np.testing.assert_array_equal(used, np.arange(len(vertices)))
    areas = texture_areas(uv, faces)
    assert areas.min() > 0.0
    # All of the half tile but the mouth's gap.
    assert 0.98 * 0.5 < areas.sum() < 0.5
    assert overlapping_pixels(uv, faces, 512) == 0
    assert uv.min(0) == pytest.approx((0.5, 0.0))
    assert uv.max(0) == pytest.approx((1.0, 1.0))


def test_the_face_meets_its_reflection_and_the_seam_is_at_the_back() -> None:
    uv, _ = chart()
    vertices, middle, _ = half_ball()
    front = middle & (vertices[:, 2] > 1.0)
    np.testing.assert_array_equal(uv[front, 0], 0.5)
    behind = middle & (vertices[:, 2] < -1.0)
    assert ((uv[behind, 0] == 1.0) | (uv[behind, 1] == 1.0) | (vertices[behind, 2] > -60.0)).all()
    assert (np.diff(uv[front][np.argsort(vertices[front, 1]), 1]) > 0.0).all()


def test_what_is_given_a_greater_share_gets_it() -> None:
    vertices, middle, faces = half_ball()
    face = vertices[:, 2] > 40.0
    larger, _ = skin_chart(vertices, middle, faces, wishes(np.where(face, 4.0, 1.0)))
    on_face = face[faces].all(1)
    before, after = (texture_areas(uv, faces)[on_face].sum() for uv in (chart()[0], larger))
    assert after > 1.5 * before


def test_a_skin_in_two_pieces_is_refused() -> None:
    vertices, middle, faces = half_ball()
    apart = np.concatenate((faces, faces + len(vertices)))
    twice = np.concatenate((vertices, vertices + (0.0, 500.0, 0.0)))
    doubled = SkinWishes(np.ones(len(twice)), np.ones(len(twice)))
    with pytest.raises(ValueError, match="more than one loop"):
        skin_chart(twice, np.tile(middle, 2), apart, doubled)


def test_flattening_a_flat_rectangle_gives_it_back() -> None:
    x, y = np.meshgrid(np.linspace(0.0, 2.0, 9), np.linspace(0.0, 1.0, 5))
    points = np.stack((x.ravel(), y.ravel(), np.zeros(x.size)), 1)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    border = (x == 0.0) | (x == 2.0) | (y == 0.0) | (y == 1.0)
    corner = ((x == 0.0) | (x == 2.0)) & ((y == 0.0) | (y == 1.0))
    held = np.stack((((x == 0.0) | (x == 2.0)).ravel(), ((y == 0.0) | (y == 1.0)).ravel()), 1)
    # The border starts unevenly; it slides to where the triangles are themselves.
    uneven = np.where(corner, x, 2.0 * (0.5 * x) ** 1.5)
    places = np.stack((uneven.ravel(), y.ravel()), 1)
    areas = np.full(len(faces), 2.0 / len(faces))
    uv = flatten(points, faces, areas, np.ones(len(faces)), Frame(held, places, border.ravel()))
    np.testing.assert_allclose(uv, points[:, :2], atol=0.02)


def test_what_lies_inside_is_not_open_and_what_lies_outside_is() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices = np.concatenate((80.0 * ball.vertices, 30.0 * ball.vertices))
    faces = np.concatenate((ball.faces, ball.faces + len(ball.vertices)))
    open_share = exposure(vertices, faces)
    assert open_share[: len(ball.vertices)].min() > 0.9
    assert open_share[len(ball.vertices) :].max() == 0.0
