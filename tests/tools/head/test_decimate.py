"""A thinned half mesh is still the same sheet: its borders, seams and texture keep their course."""

from functools import cache

import numpy as np
import pytest

from tests.tools.head.synthetic_half import HALF_HEIGHT_MM, border_vertices, dome, edge_faces, texture_areas
from tools.head.decimate import Decimator
from tools.head.half_mesh import HalfMesh

SEAM = 8
"""Row of the dome along which its texture is cut: the one at y = 0."""


@cache
def thinned(target: int, seam_at: int | None = None) -> tuple[HalfMesh, np.ndarray, np.ndarray]:
    mesh = dome(seam_at=seam_at)
    return mesh, *Decimator(mesh, np.full(len(mesh.vertices_mm), 3.0)).run(target)


@pytest.mark.slow
@pytest.mark.parametrize("target", [180, 110, 60])
def test_the_target_is_met_with_vertices_of_the_input(target: int) -> None:
    mesh, faces, uv_faces = thinned(target)
    kept = np.unique(faces)
    assert len(kept) == target
    assert kept.min() >= 0
    assert kept.max() < len(mesh.vertices_mm)
    # The dome's texture vertices are numbered as its vertices: no corner has taken another's place in the texture.
    np.testing.assert_array_equal(uv_faces, faces)


def test_nothing_is_thinned_that_is_sparse_enough() -> None:
    mesh, faces, uv_faces = thinned(10_000)
    np.testing.assert_array_equal(faces, mesh.faces)
    np.testing.assert_array_equal(uv_faces, mesh.uv_faces)


@pytest.mark.slow
@pytest.mark.parametrize("target", [110, 60, 20])
def test_it_stays_one_disk(target: int) -> None:
    faces = thinned(target)[1]
    edges = edge_faces(faces)
    assert len(np.unique(faces)) - len(edges) + len(faces) == 1
    assert max(len(beside) for beside in edges.values()) == 2
    # Neighbours run through their common edge in opposite directions: all triangles face the same way.
    directed = [(row[k], row[(k + 1) % 3]) for row in faces.tolist() for k in range(3)]
    assert len(set(directed)) == len(directed)


@pytest.mark.slow
def test_borders_and_the_mid_line_keep_their_course() -> None:
    mesh, faces, uv_faces = thinned(70)
    border = border_vertices(faces)
    assert border <= border_vertices(mesh.faces)
    middle = np.flatnonzero(mesh.middle)
    kept = [vertex for vertex in middle.tolist() if vertex in border]
    heights = mesh.vertices_mm[kept, 1]
    assert (heights.min(), heights.max()) == (-HALF_HEIGHT_MM, HALF_HEIGHT_MM)
    chain = [e for e, beside in edge_faces(faces).items() if len(beside) == 1 and mesh.middle[list(e)].all()]
    assert len(chain) == len(kept) - 1
    whole = texture_areas(mesh.uv, mesh.uv_faces).sum()
    assert texture_areas(mesh.uv, uv_faces).sum() == pytest.approx(whole, rel=0.02)


@pytest.mark.slow
def test_no_triangle_is_turned_over_in_the_texture_or_in_space() -> None:
    mesh, faces, uv_faces = thinned(60, SEAM)
    assert texture_areas(mesh.uv, uv_faces).min() > 0.0
    corners = mesh.vertices_mm[faces]
    assert np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2].min() > 0.0


def test_a_seam_of_the_texture_keeps_its_course() -> None:
    mesh, faces, uv_faces = thinned(80, SEAM)
    seam = []
    for (start, end), beside in edge_faces(faces).items():
        ends = [{int(uv_faces[face][faces[face].tolist().index(vertex)]) for vertex in (start, end)} for face in beside]
        if len(ends) == 2 and ends[0] != ends[1]:
            seam.append((start, end))
    points = mesh.vertices_mm[np.array(seam)]
    np.testing.assert_array_equal(points[..., 1], 0.0)
    covered = np.abs(points[:, 0, 0] - points[:, 1, 0]).sum()
    assert covered == pytest.approx(np.ptp(points[..., 0]))
    assert points[..., 0].min() == 0.0
    # Each side of the seam stays in its own tile.
    tiles = mesh.uv[uv_faces][..., 0] > 1.0
    assert (tiles.all(1) | ~tiles.any(1)).all()
    # The texture vertices are those of the vertices.
    np.testing.assert_array_equal(uv_faces % len(mesh.vertices_mm), faces)


@pytest.mark.slow
def test_it_is_denser_where_closer_spacing_is_wanted() -> None:
    mesh = dome()
    heights = mesh.vertices_mm[:, 1]
    faces, _ = Decimator(mesh, np.where(heights > 0.0, 1.5, 6.0)).run(100)
    kept = heights[np.unique(faces)]
    assert (kept > 5.0).sum() > 2.5 * (kept < -5.0).sum()


def test_a_crease_outlasts_flat_skin() -> None:
    mesh = dome(columns=13, rows=17)
    points = mesh.vertices_mm.copy()
    points[:, 2] = -np.abs(points[:, 0] - 15.0)
    creased = HalfMesh(mesh.source, points, mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces)
    faces, _ = Decimator(creased, np.full(len(points), 3.0)).run(90)
    ridge = np.flatnonzero(points[:, 0] == 15.0)
    # The ridge may lose vertices along its course, but a triangle across it would cut it off.
    sides = np.sign(points[faces][..., 0] - 15.0)
    assert not ((sides.max(1) > 0) & (sides.min(1) < 0)).any()
    assert np.isin(ridge[[0, -1]], faces).all()
