from pathlib import Path

import numpy as np

from common.paths import DEFAULT_HEAD
from model.checkpoint import file_sha256
from model.face.assets import save_head
from model.face.hierarchy import load_hierarchy
from tests.small_world import toy_head, toy_hierarchy
from tools.build_hierarchy import build, coarser, unique_edges

RELEASED = DEFAULT_HEAD.parent


def test_levels_are_mirror_symmetric_and_cover_the_surface() -> None:
    head, level = toy_head(), toy_hierarchy().levels[0]
    kept = set(level.vertices.tolist())
    assert {int(head.mirror[vertex]) for vertex in kept} == kept
    # No vertex is farther from a kept one than two edges of the toy head.
    distance = np.linalg.norm(head.vertices_mm[:, None] - head.vertices_mm[level.vertices][None], axis=-1).min(1)
    assert distance.max() < 60.0


def test_a_kept_vertex_is_mostly_itself_and_smooth_fields_survive() -> None:
    head, level = toy_head(), toy_hierarchy().levels[0]
    own = level.parents[level.vertices] == np.arange(len(level.vertices))[:, None]
    assert (level.weights[level.vertices][own] > 0.4).all()
    field = head.vertices_mm[:, 1]
    again = (field[level.vertices][level.parents] * level.weights).sum(1)
    assert np.abs(again - field).mean() < 0.15 * field.std()


def test_parts_that_hang_together_nowhere_each_keep_a_vertex() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 9, 0], [1, 9, 0], [2, 9, 0]], float)
    edges = unique_edges(np.array([[0, 1], [1, 2], [3, 4], [4, 5], [5, 4]]))
    level = coarser(vertices, edges, np.arange(6), 2)
    assert {int(vertex) // 3 for vertex in level.vertices} == {0, 1}
    # And no vertex is a mean of another part's.
    for vertex, (parents, weights) in enumerate(zip(level.parents, level.weights, strict=True)):
        for parent, weight in zip(parents, weights, strict=True):
            assert weight == 0 or level.vertices[parent] // 3 == vertex // 3


def test_the_tool_writes_a_file_that_belongs_to_its_head(tmp_path: Path) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors")
    path = build(tmp_path / "head.safetensors", levels=2, ratio=3)
    loaded = load_hierarchy(path)
    assert loaded.head_sha256 == file_sha256(tmp_path / "head.safetensors")
    assert len(loaded.levels) == 2


def test_the_released_hierarchy_is_that_of_the_released_head() -> None:
    hierarchy = load_hierarchy(RELEASED / "hierarchy.safetensors")
    path = RELEASED / "head.safetensors"
    assert hierarchy.head_sha256 in (file_sha256(path), *load_head(path).succeeds)
    sizes = [hierarchy.vertex_count, *(len(level.vertices) for level in hierarchy.levels)]
    assert all(3.5 < fine / coarse < 4.5 for fine, coarse in zip(sizes, sizes[1:], strict=False))
