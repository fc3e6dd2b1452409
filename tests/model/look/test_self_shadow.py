import numpy as np
import torch

from model.geometry.mesh import vertex_normals
from model.look.self_shadow import lit_from
from tests.small_world import toy_head

ALONG_Z = np.array([[0.0, 0.0, 1.0]], np.float32)


def test_a_convex_head_is_lit_wherever_it_faces_the_light() -> None:
    head = toy_head()
    vertices = head.vertices_mm.astype(np.float32)
    normals = vertex_normals(torch.from_numpy(vertices)[None], torch.from_numpy(head.faces))[0].numpy()
    lit = lit_from(vertices, head.faces.astype(np.int32), ALONG_Z)[:, 0]
    assert lit[normals[:, 2] > 0.5].min() > 0.7
    assert lit[normals[:, 2] < -0.5].max() == 0.0


def test_what_stands_before_it_throws_a_shadow() -> None:
    # A wall of two triangles and a small plate before its middle.
    wall = np.array([[-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0], [0, 0, 0]], np.float32)
    plate = np.array([[-20, -20, 40], [20, -20, 40], [20, 20, 40], [-20, 20, 40]], np.float32)
    faces = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [5, 6, 7], [5, 7, 8]], np.int32)
    lit = lit_from(np.concatenate((wall, plate)), faces, ALONG_Z)[:, 0]
    assert lit[4] == 0.0
    assert lit[5:].min() > 0.0
    aside = lit_from(np.concatenate((wall, plate)), faces, np.array([[0.8, 0.0, 0.6]], np.float32))[:, 0]
    assert aside[4] == 1.0
