import sys

import numpy as np
import pytest

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.refine.raytrace.embree_rays import EmbreeRays
from model.refine.raytrace.ray_queries import RayQueries


def triangle_soup(seed: int = 0, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-50, 50, (count, 1, 3)) + generator.normal(0, 15, (count, 3, 3))
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def random_rays(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    directions = generator.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return generator.uniform(-60, 60, (count, 3)).astype(np.float32), directions.astype(np.float32)


def brute_force(
    vertices: np.ndarray, faces: np.ndarray, origins: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Möller and Trumbore's test of every ray with every triangle."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64)[None] for k in range(3))
    o, d = origins[:, None].astype(np.float64), directions[:, None].astype(np.float64)
    across = np.cross(d, c - a)
    scale = ((b - a) * across).sum(-1)
    u = ((o - a) * across).sum(-1) / scale
    other = np.cross(o - a, b - a)
    v, t = (d * other).sum(-1) / scale, ((c - a) * other).sum(-1) / scale
    t = np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0), t, np.inf)
    nearest, ray = t.argmin(1), np.arange(len(origins))
    weights = np.stack((1 - u - v, u, v), -1)[ray, nearest]
    return np.where(np.isfinite(t[ray, nearest]), nearest, -1), weights, t[ray, nearest]


def test_first_hits_are_those_of_testing_every_triangle():
    vertices, faces = triangle_soup()
    origins, directions = random_rays()
    hits = EmbreeRays(vertices, faces, threads=1).first_hit(origins, directions)
    expected_face, expected_weights, expected_distance = brute_force(vertices, faces, origins, directions)
    met = expected_face >= 0
    assert 100 < met.sum() < 480
    np.testing.assert_array_equal(hits.face_index, expected_face)
    np.testing.assert_allclose(hits.barycentric[met], expected_weights[met], atol=1e-4)
    np.testing.assert_allclose(hits.distance_mm[met], expected_distance[met], rtol=1e-4)
    assert np.isinf(hits.distance_mm[~met]).all()
    assert (hits.barycentric[~met] == 0).all()


def test_a_ray_is_occluded_where_it_hits_before_its_end():
    vertices, faces = triangle_soup()
    origins, directions = random_rays()
    rays = EmbreeRays(vertices, faces, threads=1)
    distance = rays.first_hit(origins, directions).distance_mm
    np.testing.assert_array_equal(rays.occluded(origins, directions), np.isfinite(distance))
    ends = np.full(len(origins), 40.0, np.float32)
    np.testing.assert_array_equal(rays.occluded(origins, directions, ends), distance < 40.0)


def test_threads_change_no_answer():
    vertices, faces = triangle_soup()
    origins, directions = random_rays(1001)
    one, three = EmbreeRays(vertices, faces, threads=1), EmbreeRays(vertices, faces, threads=3)
    np.testing.assert_array_equal(one.occluded(origins, directions), three.occluded(origins, directions))
    for alone, together in zip(one.first_hit(origins, directions), three.first_hit(origins, directions), strict=True):
        np.testing.assert_array_equal(alone, together)


def test_no_rays_get_no_answers():
    rays = EmbreeRays(*triangle_soup())
    nothing = np.zeros((0, 3), np.float32)
    assert rays.occluded(nothing, nothing).shape == (0,)
    assert rays.first_hit(nothing, nothing).barycentric.shape == (0, 3)


def test_it_is_what_the_transport_asks_for():
    assert isinstance(EmbreeRays(*triangle_soup()), RayQueries)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    with pytest.raises(ImportError, match="pip install"):
        EmbreeRays(*triangle_soup())


def test_a_mesh_that_is_not_finite_is_refused():
    vertices, faces = triangle_soup()
    vertices[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        EmbreeRays(vertices, faces)
