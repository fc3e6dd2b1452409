"""Eyeballs turn about their centres the right way, and the tongue alone comes out."""

import numpy as np
import pytest

from model.face.skeleton import eyeball_centre
from tools.head.expressions import gaze_shapes, tongue_out

RADIUS_MM = 12.0
CENTRES = {"Left": np.array([32.0, 1.0, -2.0]), "Right": np.array([-32.0, 1.0, -2.0])}
NAMES = tuple(f"eyeLook{direction}{side}" for side in CENTRES for direction in ("Up", "Down", "In", "Out")) + ("jaw",)
DIRECTIONS = [
    ("Left", "In", (-1, 0)),
    ("Left", "Out", (1, 0)),
    ("Right", "In", (1, 0)),
    ("Right", "Out", (-1, 0)),
    ("Left", "Up", (0, 1)),
    ("Right", "Down", (0, -1)),
]


def eyeball(centre: np.ndarray) -> np.ndarray:
    """A sphere with a bulging cornea."""
    random = np.random.default_rng(1).standard_normal((400, 3))
    local = RADIUS_MM * random / np.linalg.norm(random, axis=1, keepdims=True)
    local[0] = 0.0, 0.0, RADIUS_MM
    local[local[:, 2] > 0.85 * RADIUS_MM, 2] += 1.5
    return (centre + local).astype(np.float32)


def head() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two eyeballs and ten other vertices."""
    vertices = np.concatenate([*(eyeball(centre) for centre in CENTRES.values()), np.ones((10, 3), np.float32)])
    side = np.repeat([0, 1, 2], [400, 400, 10])
    return vertices, {name: side == row for row, name in enumerate(CENTRES)}


def test_the_centre_is_the_spheres_in_spite_of_the_cornea() -> None:
    for centre in CENTRES.values():
        np.testing.assert_allclose(eyeball_centre(eyeball(centre).astype(np.float64)), centre, atol=1e-3)


@pytest.mark.parametrize(("side", "direction", "towards"), DIRECTIONS, ids=[a + b for a, b, _ in DIRECTIONS])
def test_the_eyeball_turns_the_way_its_name_says(side: str, direction: str, towards: tuple[int, int]) -> None:
    vertices, eyeballs = head()
    shape = gaze_shapes(NAMES, vertices, eyeballs)[NAMES.index(f"eyeLook{direction}{side}")]
    assert not shape[~eyeballs[side]].any()
    pupil = shape[np.flatnonzero(eyeballs[side])[0]]
    assert pupil[:2] @ np.array(towards) > 0.4 * RADIUS_MM
    assert abs(pupil[:2] @ np.array(towards)[::-1]) < 0.01
    assert pupil[2] < 0.0


@pytest.mark.parametrize("direction", ["Up", "Down", "In", "Out"])
def test_the_turn_is_rigid_and_about_thirty_degrees(direction: str) -> None:
    vertices, eyeballs = head()
    shape = gaze_shapes(NAMES, vertices, eyeballs)[NAMES.index(f"eyeLook{direction}Left")]
    local = vertices[eyeballs["Left"]].astype(np.float64) - CENTRES["Left"]
    moved = local + shape[eyeballs["Left"]]
    turn = np.linalg.lstsq(local, moved, rcond=None)[0].T
    np.testing.assert_allclose(local @ turn.T, moved, atol=1e-3)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-3)
    angle_deg = np.degrees(np.arccos(0.5 * (np.trace(turn) - 1.0)))
    assert 20.0 <= angle_deg <= 35.0
    # Linear blending shrinks a half-turned eyeball a little.
    radii = np.linalg.norm(local + 0.5 * shape[eyeballs["Left"]], axis=1) / np.linalg.norm(local, axis=1)
    assert radii.min() > 0.96
    assert radii.max() <= 1.0 + 1e-4


def test_gaze_is_mirror_symmetric_and_moves_nothing_else() -> None:
    vertices, eyeballs = head()
    right = eyeballs["Right"]
    vertices[right] = vertices[eyeballs["Left"]] * np.array((-1.0, 1.0, 1.0), np.float32)
    shapes = gaze_shapes(NAMES, vertices, eyeballs)
    for direction in ("Up", "Down", "In", "Out"):
        left = shapes[NAMES.index(f"eyeLook{direction}Left"), eyeballs["Left"]]
        np.testing.assert_allclose(
            shapes[NAMES.index(f"eyeLook{direction}Right"), right], left * (-1.0, 1.0, 1.0), atol=1e-4
        )
    assert not shapes[-1].any()
    assert not shapes[:, -10:].any()


def test_the_tongue_alone_comes_out_forwards_and_most_at_its_tip() -> None:
    y, z = np.meshgrid(np.linspace(-90.0, -70.0, 6), np.linspace(-30.0, 10.0, 21), indexing="ij")
    tongue_points = np.stack([np.zeros(y.size), y.ravel(), z.ravel()], axis=1)
    vertices = np.concatenate([tongue_points, tongue_points + (0.0, 30.0, 40.0)]).astype(np.float32)
    tongue = np.arange(len(vertices)) < len(tongue_points)
    shape = tongue_out(vertices, tongue)
    assert not shape[~tongue].any()
    assert not shape[:, 0].any()
    assert shape[:, 1:].min() >= 0.0
    top = tongue & (vertices[:, 1] == -70.0)
    forwards = shape[top, 2]
    assert (np.diff(forwards) >= 0.0).all()
    assert forwards[0] == 0.0
    assert forwards[-1] == pytest.approx(30.0, abs=0.1)
    tip = vertices[:, 2] == 10.0
    thickness = [np.ptp((vertices + weight * shape)[tongue & tip & (vertices[:, 1] > -86.0), 1]) for weight in (0, 1)]
    assert thickness[1] < thickness[0]
