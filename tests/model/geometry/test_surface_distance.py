import numpy as np
import pytest
import torch
from trimesh.triangles import closest_point

from model.geometry.mesh import vertex_normals
from model.geometry.surface_distance import Surface
from tests.evaluation.small_scans import relief_answer
from tests.small_world import toy_head

TRIANGLE = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0]])


def test_a_triangle_is_nearest_at_its_inside_an_edge_or_a_corner() -> None:
    surface = Surface(TRIANGLE, np.array([[0, 1, 2]]))
    found = surface.nearest(np.array([[1.0, 1.0, 2.0], [2.0, -3.0, 4.0], [-3.0, -4.0, 0.0], [4.0, 4.0, 0.0]]))
    np.testing.assert_allclose(found.distance_mm, [2.0, 5.0, 5.0, np.sqrt(8.0)])
    np.testing.assert_allclose(found.position_mm, [[1, 1, 0], [2, 0, 0], [0, 0, 0], [2, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(surface.normals(found.face), [[0.0, 0.0, 1.0]] * 4)


def test_no_triangle_is_nearer_than_the_one_found() -> None:
    head = toy_head()
    generator = np.random.default_rng(0)
    # From the inside, where all triangles are about as near as each other, to far outside.
    points_mm = generator.normal(0.0, 60.0, (200, 3))
    # Large triangles among small ones: their middles are far away although they themselves are near.
    extra = np.concatenate(
        (head.vertices_mm, [[-400.0, -130.0, -400.0], [400.0, -130.0, -400.0], [0.0, -130.0, 800.0]])
    )
    count = len(head.vertices_mm)
    faces = np.concatenate((head.faces, [[count, count + 1, count + 2]]))
    found = Surface(extra, faces).nearest(points_mm)
    triangles = extra[faces].astype(np.float64)
    every = [
        np.linalg.norm(closest_point(triangles, np.repeat(point[None], len(triangles), axis=0)) - point, axis=1)
        for point in points_mm
    ]
    np.testing.assert_allclose(found.distance_mm, np.min(every, axis=1), atol=1e-9)
    assert (found.face == len(head.faces)).any()


def test_a_surface_moved_along_its_normals_is_so_far_away() -> None:
    # Asked directly, without alignment: a free scale would take up most of such a shell.
    answer = relief_answer()
    vertices = torch.from_numpy(answer.posed_mm)
    normals = vertex_normals(vertices[None], torch.from_numpy(answer.faces))[0].numpy()
    inner = (np.abs(answer.posed_mm[:, 0]) < 56.0) & (np.abs(answer.posed_mm[:, 1] + 42.0) < 70.0)
    distance_mm = Surface(answer.posed_mm + normals, answer.faces).nearest(answer.posed_mm[inner]).distance_mm
    assert np.median(distance_mm) == pytest.approx(1.0, abs=0.02)
    assert distance_mm.min() > 0.8
    assert distance_mm.max() < 1.01


def test_triangles_without_an_area_are_left_out() -> None:
    vertices = np.concatenate((TRIANGLE, [[9.0, 9.0, 9.0]]))
    found = Surface(vertices, np.array([[3, 3, 3], [0, 1, 2], [0, 0, 1]])).nearest(np.array([[9.0, 9.0, 9.0]]))
    assert found.face.tolist() == [1]
    with pytest.raises(ValueError, match="area"):
        Surface(vertices, np.array([[3, 3, 3]]))
    with pytest.raises(ValueError, match="not finite"):
        Surface(vertices * np.nan, np.array([[0, 1, 2]]))
