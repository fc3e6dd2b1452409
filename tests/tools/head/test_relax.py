"""Evening out a mesh makes better triangles and never leaves the surface, the border or the texture."""

from functools import cache

import numpy as np
import pytest

from tests.tools.head.synthetic_half import (
    border_vertices,
    dome,
    edge_faces,
    smallest_angles_deg,
    texture_areas,
    texture_of,
)
from tools.head.decimate import Decimator
from tools.head.half_mesh import HalfMesh
from tools.head.relax import SampledMesh, compact, slide, turn_edges

HALF = dome(seam_at=8)
SPACING = np.full(len(HALF.vertices_mm), 3.0)


@cache
def thinned() -> SampledMesh:
    return compact(HALF, *Decimator(HALF, SPACING).run(110))[0]


@cache
def evened(movable: bool = True) -> SampledMesh:
    mesh = turn_edges(thinned(), thinned().points(HALF))
    count = len(mesh.corners)
    return slide(mesh, HALF, np.full(count, movable), np.full(count, 3.0))


def kite(lift: float) -> tuple[HalfMesh, SampledMesh]:
    """Two flat triangles along a long edge; `lift` bends them about it."""
    points = np.array([[2.0, 0.0, 0.0], [8.0, 0.0, 0.0], [5.0, 1.0, 0.0], [5.0, -1.0, lift]])
    faces = np.array([[0, 1, 2], [1, 0, 3]])
    half = HalfMesh(np.arange(4), points, np.zeros(4, bool), faces, points[:, :2] / 10.0, faces.copy())
    return half, compact(half, faces, faces)[0]


def test_compact_drops_what_is_not_used() -> None:
    mesh, rows = compact(HALF, HALF.faces[:10], HALF.uv_faces[:10])
    np.testing.assert_array_equal(rows, np.unique(HALF.faces[:10]))
    np.testing.assert_array_equal(rows[mesh.faces], HALF.faces[:10])
    np.testing.assert_array_equal(mesh.uv[mesh.uv_faces], HALF.uv[HALF.uv_faces[:10]])
    np.testing.assert_array_equal(mesh.middle, HALF.middle[rows])
    np.testing.assert_array_equal(mesh.points(HALF), HALF.vertices_mm[rows])


def test_a_long_edge_is_turned() -> None:
    half, mesh = kite(0.0)
    turned = turn_edges(mesh, mesh.points(half))
    assert (2, 3) in edge_faces(turned.faces)
    assert (0, 1) not in edge_faces(turned.faces)
    assert texture_areas(turned.uv, turned.uv_faces).min() > 0.0
    np.testing.assert_array_equal(turned.uv_faces, turned.faces)


def test_a_fold_of_the_surface_is_not_turned() -> None:
    half, mesh = kite(1.5)
    np.testing.assert_array_equal(turn_edges(mesh, mesh.points(half)).faces, mesh.faces)


def test_a_seam_of_the_texture_is_not_turned() -> None:
    half, mesh = kite(0.0)
    uv = np.concatenate([mesh.uv, mesh.uv + (1.0, 0.0)])
    cut = SampledMesh(mesh.corners, mesh.weights, mesh.middle, mesh.faces, uv, mesh.uv_faces + np.array([[0], [4]]))
    np.testing.assert_array_equal(turn_edges(cut, mesh.points(half)).faces, mesh.faces)


def test_an_edge_is_not_turned_where_the_texture_would_fold() -> None:
    half, mesh = kite(0.0)
    uv = mesh.uv.copy()
    uv[2:] += (0.5, 0.0)
    bent = SampledMesh(mesh.corners, mesh.weights, mesh.middle, mesh.faces, uv, mesh.uv_faces)
    np.testing.assert_array_equal(turn_edges(bent, mesh.points(half)).faces, mesh.faces)


@pytest.mark.parametrize(("movable", "gain_deg"), [(True, 1.0), (False, 0.3)], ids=["slid", "turned only"])
def test_triangles_get_better_and_none_is_turned_over(movable: bool, gain_deg: float) -> None:
    before, after = thinned(), evened(movable)
    angles = [smallest_angles_deg(mesh.points(HALF), mesh.faces) for mesh in (before, after)]
    assert angles[1].mean() > angles[0].mean() + gain_deg
    assert len(after.faces) == len(before.faces)
    assert texture_areas(after.uv, after.uv_faces).min() > 0.0
    edges = edge_faces(after.faces)
    assert len(after.corners) - len(edges) + len(after.faces) == 1
    assert max(len(beside) for beside in edges.values()) == 2


def test_slid_vertices_lie_on_the_source() -> None:
    mesh = evened()
    assert mesh.weights.min() >= 0.0
    np.testing.assert_allclose(mesh.weights.sum(1), 1.0)
    slid = np.flatnonzero(mesh.weights.max(1) < 1.0)
    assert len(slid) > 20
    triangles = {tuple(row) for row in HALF.faces.tolist()}
    assert {tuple(row) for row in mesh.corners[slid].tolist()} <= triangles


def test_the_texture_follows_the_vertices() -> None:
    mesh = evened()
    expected = texture_of(mesh.points(HALF))[mesh.faces]
    found = mesh.uv[mesh.uv_faces]
    tile = np.floor(found[..., :1])
    np.testing.assert_allclose(found - (tile * (1.0, 0.0)), expected, atol=1e-9)


def test_borders_and_seams_stay() -> None:
    before, after = thinned(), evened()
    fixed = border_vertices(before.faces)
    pairs = np.unique(np.stack([before.faces.ravel(), before.uv_faces.ravel()], axis=1), axis=0)
    vertices, places = np.unique(pairs[:, 0], return_counts=True)
    seam = set(vertices[places > 1].tolist())
    assert seam - fixed
    rows = sorted(fixed | seam)
    np.testing.assert_array_equal(after.points(HALF)[rows], before.points(HALF)[rows])
    np.testing.assert_array_equal(after.middle, before.middle)


def test_only_movable_vertices_slide() -> None:
    before = turn_edges(thinned(), thinned().points(HALF))
    upper = before.points(HALF)[:, 1] > 0.0
    after = slide(before, HALF, upper, np.full(len(upper), 3.0), sweeps=2)
    moved = np.linalg.norm(after.points(HALF) - before.points(HALF), axis=1) > 0.0
    assert moved[upper].any()
    assert not moved[~upper].any()
