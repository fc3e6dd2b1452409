"""Points of the texture are found on the surface."""

import numpy as np
import pytest

from tests.tools.head.synthetic_half import dome, texture_of
from tools.head.texture_lookup import TextureLookup

MESH = dome()
LOOKUP = TextureLookup(MESH.uv, MESH.uv_faces)


def test_any_point_of_the_texture_is_found_where_it_is() -> None:
    random = np.random.default_rng(0)
    low, high = MESH.uv.min(0), MESH.uv.max(0)
    for point in random.uniform(low, high, (200, 2)):
        place = LOOKUP.locate(point)
        assert place.inside
        assert place.weights.min() >= 0.0
        assert place.weights.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(place.weights @ MESH.uv[MESH.uv_faces[place.face]], point, atol=1e-9)
        on_surface = place.weights @ MESH.vertices_mm[MESH.faces[place.face]]
        np.testing.assert_allclose(texture_of(on_surface[None])[0], point, atol=1e-9)


def test_centres_of_triangles_give_those_triangles() -> None:
    centres = MESH.uv[MESH.uv_faces].mean(1)
    for face in range(0, len(centres), 7):
        place = LOOKUP.locate(centres[face])
        assert place.face == face
        np.testing.assert_allclose(place.weights, 1.0 / 3.0, atol=1e-9)


def test_corners_count_as_inside() -> None:
    for row in (0, 40, len(MESH.uv) - 1):
        place = LOOKUP.locate(MESH.uv[row])
        assert place.inside
        assert place.weights.max() == pytest.approx(1.0)


def test_a_point_off_the_surface_is_told_and_gets_the_nearest_border() -> None:
    right = MESH.uv[:, 0].max()
    place = LOOKUP.locate(np.array([right + 0.01, 0.52]))
    assert not place.inside
    assert place.weights.min() >= 0.0
    assert place.weights.sum() == pytest.approx(1.0)
    found = place.weights @ MESH.uv[MESH.uv_faces[place.face]]
    assert found[0] == pytest.approx(right, abs=1e-9)
    assert found[1] == pytest.approx(0.52, abs=0.06)
    assert not LOOKUP.locate(np.array([9.0, 9.0])).inside


def test_triangles_of_either_orientation_and_a_single_one_work() -> None:
    uv = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for triangle in ([0, 1, 2], [0, 2, 1]):
        place = TextureLookup(uv, np.array([triangle])).locate(np.array([0.25, 0.25]))
        assert place.inside
        np.testing.assert_allclose(place.weights @ uv[triangle], 0.25)
