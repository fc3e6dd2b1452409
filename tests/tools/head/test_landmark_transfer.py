"""Landmarks stay where they were and stay mirror images of one another on a mesh that has been thinned."""

from functools import cache

import numpy as np

from model.face.assets import LandmarkSet
from tests.tools.head.synthetic_half import dome, height_mm, mirrored_source
from tools.head.assemble import SampledHead, mean_vertices, reflect
from tools.head.decimate import Decimator
from tools.head.half_mesh import left_half
from tools.head.landmark_transfer import LandmarkTransfer
from tools.head.relax import compact

PLACES_XY = np.array([[10.0, 12.0], [-10.0, 12.0], [0.0, -20.0], [21.3, -31.0], [-21.3, -31.0], [0.0, 7.7]])
MIRROR = np.array([1, 0, 2, 4, 3, 5])
POINTS = np.column_stack([PLACES_XY, height_mm(PLACES_XY[:, 0], PLACES_XY[:, 1])]).astype(np.float32)


@cache
def placed() -> tuple[LandmarkSet, SampledHead, np.ndarray]:
    source = mirrored_source(dome())
    half = left_half(source)
    mesh, _ = compact(half, *Decimator(half, np.full(len(half.source), 3.0)).run(140))
    head = reflect(mesh, half, source)
    distance = np.linalg.norm(source.vertices_mm[None] - POINTS[:, None], axis=2)
    corners = np.argsort(distance, axis=1)[:, :3]
    landmarks = LandmarkTransfer(mesh, half, source.mirror).place(POINTS, corners, MIRROR)
    return landmarks, head, mean_vertices(mesh, half)


def found_mm() -> np.ndarray:
    landmarks, head, vertices = placed()
    return np.einsum("lcx,lc->lx", vertices[head.faces[landmarks.face]], landmarks.barycentric)


def test_landmarks_stay_where_they_were() -> None:
    assert np.linalg.norm(found_mm() - POINTS, axis=1).max() < 0.5
    assert np.linalg.norm((found_mm() - POINTS)[:, :2], axis=1).max() < 0.3


def test_they_are_points_of_triangles() -> None:
    landmarks, head, _ = placed()
    assert landmarks.face.max() < len(head.faces)
    assert landmarks.barycentric.min() >= 0.0
    np.testing.assert_allclose(landmarks.barycentric.sum(1), 1.0, atol=1e-6)


def test_pairs_are_mirror_images_and_the_others_lie_on_the_mid_line() -> None:
    found = found_mm()
    np.testing.assert_allclose(found[MIRROR] * (-1.0, 1.0, 1.0), found, atol=1e-5)
    np.testing.assert_array_equal(found[[2, 5], 0], 0.0)
    assert (found[[0, 3], 0] > 0.0).all()


def test_pairs_stay_mirror_images_when_the_head_changes_its_shape() -> None:
    landmarks, head, vertices = placed()
    change = np.random.default_rng(3).standard_normal(vertices.shape)
    change += change[head.mirror] * (-1.0, 1.0, 1.0)
    moved = np.einsum("lcx,lc->lx", (vertices + change)[head.faces[landmarks.face]], landmarks.barycentric)
    np.testing.assert_allclose(moved[MIRROR] * (-1.0, 1.0, 1.0), moved, atol=1e-5)
