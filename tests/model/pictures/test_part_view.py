"""Heads under lamps and environments: where it is bright, where it is dark, what turns."""

import numpy as np
import pytest

from model.pictures.distant_light import DistantLight, environment_light, lamp_light
from model.pictures.part_view import PartView, PicturePart

CAMERA = np.array([[400.0, 0.0, 32.0], [0.0, 400.0, 32.0], [0.0, 0.0, 1.0]], np.float32)
UPRIGHT, BEFORE = np.eye(3, dtype=np.float32), np.array([0.0, 0.0, -400.0], np.float32)


def ball(radius_mm: float = 25.0, x_mm: float = 0.0, rows: int = 24, color: int = 188) -> PicturePart:
    """A matte grey ball, with one expression that moves it up."""
    columns = 2 * rows
    polar, around = np.meshgrid(
        np.linspace(0.0, np.pi, rows + 1), np.linspace(0.0, 2.0 * np.pi, columns + 1), indexing="ij"
    )
    points = np.stack((np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)), axis=-1)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, below = corner + 1, corner + columns + 1
    faces = np.concatenate((np.stack((corner, below, right), 1), np.stack((right, below, below + 1), 1)))
    vertices = (radius_mm * points.reshape(-1, 3) + (x_mm, 0.0, 0.0)).astype(np.float32)
    uv = np.stack((around.ravel() / (2.0 * np.pi), 1.0 - polar.ravel() / np.pi), axis=1)
    upwards = np.broadcast_to(np.array([0.0, 10.0, 0.0], np.float32), (1, len(vertices), 3))
    texture = np.full((4, 4, 3), color, np.uint8)
    return PicturePart("ball", vertices, faces.astype(np.int32), uv, upwards, texture, 1.0, lit=True)


def drawn(light: DistantLight, *parts: PicturePart, weight: float = 0.0) -> np.ndarray:
    view = PartView(parts or [ball()])
    weights = np.full(1, weight, np.float32)
    return view.draw(weights, UPRIGHT, BEFORE, CAMERA, 64, light, background=0)[..., 1].astype(float)


def test_a_lamp_lights_the_side_where_it_stands() -> None:
    right, left, above = (drawn(lamp_light(*angles)) for angles in ((80.0, 0.0), (-80.0, 0.0), (0.0, 80.0)))
    assert right[:, 36:].sum() > 1.5 * right[:, :28].sum()
    assert np.abs(left[:, ::-1] - right).mean() < 3.0
    assert above[:28].sum() > 1.5 * above[36:].sum()
    behind = drawn(lamp_light(180.0, 0.0))
    assert behind[28:36, 28:36].mean() < 0.6 * drawn(lamp_light(0.0, 0.0))[28:36, 28:36].mean()


def test_a_light_that_turns_goes_towards_the_right() -> None:
    assert np.allclose(lamp_light(0.0, 0.0).turned(90.0).directions[0], lamp_light(90.0, 0.0).directions[0], atol=0.15)


def test_one_ball_casts_its_shadow_on_another() -> None:
    light, far = lamp_light(89.0, 0.0), ball(8.0, -18.0)
    alone, shadowed = drawn(light, far), drawn(light, far, ball(8.0, 18.0))
    assert shadowed[28:36, 19:21].mean() < 0.7 * alone[28:36, 19:21].mean()


def test_expressions_move_what_is_drawn() -> None:
    light = lamp_light(0.0, 0.0)
    rest, moved = np.nonzero(drawn(light))[0].mean(), np.nonzero(drawn(light, weight=1.0))[0].mean()
    # 10 mm at 400 mm with a focal length of 400 px.
    assert moved - rest == pytest.approx(-10.0, abs=1.0)


def test_an_even_environment_lights_all_sides_alike_and_is_exposed() -> None:
    for scale in (0.01, 1.0, 500.0):
        light = environment_light(np.full((16, 32, 3), scale, np.float32))
        picture = drawn(light, ball(color=255))
        inside = picture[20:44, 20:44]
        assert inside.mean() > 235.0
        assert inside.std() < 8.0


def test_the_sun_of_an_environment_stands_where_it_is() -> None:
    """The middle column lies behind the head, the one at three quarters at the picture's right."""
    radiance = np.full((32, 64, 3), 0.05, np.float32)
    radiance[14:18, 47:49] = (300.0, 200.0, 100.0)
    light = environment_light(radiance)
    brightest = light.directions[light.strength.sum(1).argmax()]
    assert brightest @ (1.0, 0.0, 0.0) > 0.99
    assert light.strength.sum(0)[0] > light.strength.sum(0)[2]


def test_a_dark_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="dark"):
        environment_light(np.zeros((16, 32, 3), np.float32))
