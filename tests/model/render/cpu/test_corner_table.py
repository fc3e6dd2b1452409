import numpy as np

from model.render.cpu.rasterizer import corner_table
from tests.model.render.render_scenes import sphere


def test_closed_mesh_pairs_every_corner() -> None:
    faces = sphere(1)[1].numpy()
    opposite = corner_table(faces)
    assert (opposite >= 0).all()
    assert np.array_equal(opposite[opposite], np.arange(len(opposite)))
    for corner, other in enumerate(opposite):
        mine = set(faces[corner // 3].tolist()) - {faces[corner // 3, corner % 3]}
        theirs = set(faces[other // 3].tolist()) - {faces[other // 3, other % 3]}
        assert mine == theirs


def test_border_and_crowded_edges_have_no_other_side() -> None:
    two = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    assert corner_table(two).tolist() == [-1, 5, -1, -1, -1, 1]
    three_on_one_edge = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]], dtype=np.int32)
    assert (corner_table(three_on_one_edge) == -1).all()
