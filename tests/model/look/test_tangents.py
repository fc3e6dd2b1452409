import numpy as np
import pytest

from model.look.tangents import vertex_tangents

SQUARE = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])
OUT = np.tile([0.0, 0.0, 1.0], (4, 1))


def tangents(uv: np.ndarray, normals: np.ndarray = OUT) -> np.ndarray:
    return vertex_tangents(SQUARE, normals, uv, FACES)


def test_the_tangent_points_where_u_grows_and_the_bitangent_where_v_does() -> None:
    np.testing.assert_allclose(tangents(SQUARE[:, :2]), np.tile([1.0, 0.0, 0.0, 1.0], (4, 1)), atol=1e-6)
    # A texture turned by a quarter: u grows with y, v against x.
    turned = np.stack((SQUARE[:, 1], 1.0 - SQUARE[:, 0]), axis=1)
    found = tangents(turned)
    np.testing.assert_allclose(found[:, :3], np.tile([0.0, 1.0, 0.0], (4, 1)), atol=1e-6)
    bitangent = np.cross(OUT, found[:, :3]) * found[:, 3:]
    np.testing.assert_allclose(bitangent, np.tile([-1.0, 0.0, 0.0], (4, 1)), atol=1e-6)


def test_a_mirrored_texture_turns_the_sign() -> None:
    mirrored = SQUARE[:, :2] * (-1.0, 1.0) + (1.0, 0.0)
    found = tangents(mirrored)
    np.testing.assert_allclose(found, np.tile([-1.0, 0.0, 0.0, -1.0], (4, 1)), atol=1e-6)


def test_tangents_are_unit_and_across_the_normal() -> None:
    normals = np.random.default_rng(0).normal(0.0, 0.3, (4, 3)) + OUT
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    found = tangents(SQUARE[:, :2], normals)
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose((found[:, :3] * normals).sum(1), 0.0, atol=1e-6)


@pytest.mark.parametrize("uv", [np.zeros((4, 2)), np.full((4, 2), 0.5)])
def test_where_the_texture_says_nothing_any_tangent_will_do(uv: np.ndarray) -> None:
    found = tangents(uv)
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 1.0, atol=1e-6)
    assert set(np.abs(found[:, 3])) == {1.0}
