"""Triangles that cut one another are found, whatever their size; neighbours and touching ones are none."""

import numpy as np

from model.geometry.self_intersection import intersecting_pairs


def sheet(height: float, side: int = 12, size: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """A square grid of triangles at a height."""
    x, y = np.meshgrid(np.linspace(0, size, side), np.linspace(0, size, side), indexing="ij")
    points = np.stack((x.ravel(), y.ravel(), np.full(x.size, height)), -1)
    index = np.arange(side * side).reshape(side, side)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack((a, b, c), -1).reshape(-1, 3), np.stack((a, c, d), -1).reshape(-1, 3)])
    return points, faces


def test_a_smooth_sheet_cuts_nothing() -> None:
    points, faces = sheet(0.0)
    points[:, 2] = np.sin(points[:, 0])
    assert len(intersecting_pairs(points, faces)) == 0


def test_a_large_triangle_through_a_sheet_is_found_and_the_right_faces_with_it() -> None:
    points, faces = sheet(0.0)
    spike = np.array([[2.1, 2.2, -5.0], [2.3, 7.9, -5.0], [2.2, 5.0, 6.0]])
    pairs = intersecting_pairs(np.concatenate((points, spike)), np.concatenate((faces, [len(points) + np.arange(3)])))
    assert len(pairs) > 3
    assert (pairs[:, 1] == len(faces)).all()
    cut = points[faces[pairs[:, 0]]]
    assert (cut[..., 0].min(1) <= 2.3).all()
    assert (cut[..., 0].max(1) >= 2.1).all()
    above = spike + (0.0, 0.0, 6.0)
    assert len(intersecting_pairs(np.concatenate((points, above)), np.concatenate((faces, [144 + np.arange(3)])))) == 0


def test_two_sheets_cut_one_another_where_they_change_places() -> None:
    points, faces = sheet(0.0)
    other = points.copy()
    # Aside by a part of a cell, so that no edge lies in a triangle of the other sheet.
    other[:, 1] += 0.37
    other[:, 2] = points[:, 0] - 5.03
    pairs = intersecting_pairs(np.concatenate((points, other)), np.concatenate((faces, faces + len(points))))
    middles = points[faces[pairs[:, 0]]].mean(1)
    assert len(pairs) >= 11
    assert np.abs(middles[:, 0] - 5.03).max() < 1.0
    assert (pairs[:, 0] < len(faces)).all()
    assert (pairs[:, 1] >= len(faces)).all()
