"""What readers have in common: axes that are checked, triangles that are turned outwards, a texture space for all."""

from dataclasses import replace

import numpy as np
import pytest

from model.face.parts import tiles
from model.face.readers.foreign import ForeignArrays, at_vertices, cylinder_uv, foreign_head, signed_pairs
from tests.model.face.layouts import truth
from tests.small_world import toy_head


def arrays() -> ForeignArrays:
    made = truth()
    known = {number: int(made.corners68[number]) for number in (30, 36, 45, 57)}
    none = np.zeros((0, *made.vertices_mm.shape))
    return ForeignArrays(made.vertices_mm, made.faces, made.identity_mm, none, (), known_points=known)


def test_triangles_are_turned_outwards_with_their_landmarks() -> None:
    made, points = truth(), toy_head().landmarks["ibug68"]
    inside_out = replace(
        arrays(),
        faces=made.faces[:, [0, 2, 1]],
        landmarks=replace(points, barycentric=points.barycentric[:, [0, 2, 1]]),
    )
    head = foreign_head(inside_out).assets
    np.testing.assert_array_equal(head.faces, made.faces)
    np.testing.assert_array_equal(head.landmarks["ibug68"].barycentric, points.barycentric)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (np.diag([-1.0, 1.0, -1.0]), "do not lie along"),
        (np.diag([1.0, -1.0, -1.0]), "mouth lies above"),
        (np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), "nose|mouth"),
        (0.1 * np.eye(3), "another unit"),
        (1000.0 * np.eye(3), "another unit"),
    ],
)
def test_other_axes_orders_and_units_are_refused(turn: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        foreign_head(replace(arrays(), vertices_mm=truth().vertices_mm @ turn.T))


def test_the_mirror_table_is_found() -> None:
    np.testing.assert_array_equal(foreign_head(arrays()).assets.mirror, toy_head().mirror)


def test_the_texture_space_round_a_head_has_no_triangle_across_its_cut() -> None:
    head = toy_head()
    uv, uv_faces = cylinder_uv(head.vertices_mm, head.faces)
    corners = uv[uv_faces]
    assert (tiles(corners) == 0).all()
    assert np.ptp(corners[..., 0], axis=1).max() <= 0.5
    # Rows beyond the vertices' own belong to triangles at the cut; all others keep their vertices' coordinates.
    kept = (uv_faces < len(head.vertices_mm)).all(1)
    np.testing.assert_array_equal(uv_faces[kept], head.faces[kept])
    assert 0 < (~kept).sum() < 0.2 * len(kept)


def test_components_become_two_directions() -> None:
    components = np.ones((2, 4, 3))
    names, shapes = signed_pairs("e", components)
    assert names == ("e000Plus", "e000Minus", "e001Plus", "e001Minus")
    np.testing.assert_array_equal(shapes[:, 0, 0], [3.0, -3.0, 3.0, -3.0])


def test_a_landmark_at_a_vertex_without_triangles_is_refused() -> None:
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    found = at_vertices(np.array([3, 0]), faces)
    np.testing.assert_array_equal(found.face, [1, 0])
    np.testing.assert_array_equal(found.barycentric, [[0, 1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match="vertex 7, which no triangle has"):
        at_vertices(np.array([0, 7]), faces)
