"""Build the graph hierarchy of a head, for the mesh decoder.

    python -m tools.build_hierarchy [--head checkpoints/likeness-head/head.safetensors] [--levels 4] [--ratio 4]

Writes `hierarchy.safetensors` beside the head. Each level keeps a quarter of the vertices of the one before, farthest
first (Eldar et al., "The farthest point strategy", 1997) over the graph, in mirrored pairs. Lengths are taken over the
spacing around: where the mesh is fine, so are its levels.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from common.paths import DEFAULT_HEAD
from model.checkpoint import file_sha256
from model.face.assets import load_head
from model.face.hierarchy import PARENTS, HierarchyLevel, MeshHierarchy, save_hierarchy
from tools.command import run_tool

HIERARCHY_NAME = "hierarchy.safetensors"


def build(head: Path = DEFAULT_HEAD, levels: int = 4, ratio: int = 4) -> Path:
    """Build and write the hierarchy of a head.

    Args:
        head: Morphable-model file.
        levels: How many levels below the mesh itself.
        ratio: Vertices of a level over those of the next coarser one.

    Returns:
        The file written.
    """
    assets = load_head(head)
    vertices, mirror = assets.vertices_mm.astype(np.float64), assets.mirror.astype(np.int64)
    edges = unique_edges(np.concatenate([assets.faces[:, [0, 1]], assets.faces[:, [1, 2]], assets.faces[:, [2, 0]]]))
    built: list[HierarchyLevel] = []
    for _ in range(levels):
        level = coarser(vertices, edges, mirror, len(vertices) // ratio)
        built.append(level)
        place = np.full(len(vertices), -1)
        place[level.vertices] = np.arange(len(level.vertices))
        vertices, mirror, edges = vertices[level.vertices], place[mirror[level.vertices]], level.edges
    path = head.with_name(HIERARCHY_NAME)
    save_hierarchy(MeshHierarchy(len(assets.vertices_mm), file_sha256(head), tuple(built)), path)
    print(f"{path}: {len(assets.vertices_mm)} vertices, then {', '.join(str(len(level.vertices)) for level in built)}")
    return path


def coarser(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    edges: Int[np.ndarray, "edge 2"],
    mirror: Int[np.ndarray, " vertex"],
    count: int,
) -> HierarchyLevel:
    """The next level of a graph: about `count` of its vertices, at least one of each connected part.

    Args:
        vertices_mm: Positions.
        edges: Neighbours, each pair once.
        mirror: The vertex on the other side.
        count: Vertices to keep.
    """
    graph = _graph(vertices_mm, edges)
    kept = farthest_vertices(graph, mirror, count)
    parents, weights = _means(graph, kept, len(vertices_mm))
    owner = parents[np.arange(len(vertices_mm)), weights.argmax(1)]
    return HierarchyLevel(kept, unique_edges(owner[edges]), parents, weights)


def unique_edges(pairs: Int[np.ndarray, "pair 2"]) -> Int[np.ndarray, "edge 2"]:
    """Each pair of different vertices once, the smaller first."""
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def _graph(vertices_mm: Float[np.ndarray, "vertex 3"], edges: Int[np.ndarray, "edge 2"]) -> csr_array:
    """Symmetric graph of lengths over the geometric mean of the spacing at both ends."""
    count = len(vertices_mm)
    length = np.linalg.norm(vertices_mm[edges[:, 0]] - vertices_mm[edges[:, 1]], axis=1)
    total, degree = np.zeros(count), np.zeros(count)
    for end in (0, 1):
        np.add.at(total, edges[:, end], length)
        np.add.at(degree, edges[:, end], 1.0)
    spacing = total / np.maximum(degree, 1.0)
    relative = length / np.sqrt(spacing[edges[:, 0]] * spacing[edges[:, 1]]).clip(1e-9)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    return csr_array((np.tile(relative, 2), (rows, columns)), shape=(count, count))


def farthest_vertices(graph: csr_array, mirror: Int[np.ndarray, " vertex"], count: int) -> Int[np.ndarray, " kept"]:
    """Vertices, each the farthest from those before it, together with its mirror image; sorted."""
    nearest = np.full(len(mirror), np.inf)
    kept: set[int] = set()
    while len(kept) < count or np.isinf(nearest).any():
        vertex = int(nearest.argmax())
        pair = {vertex, int(mirror[vertex])}
        kept |= pair
        finite = nearest[np.isfinite(nearest)]
        limit = np.inf if len(finite) < len(nearest) else float(finite.max())
        nearest = np.minimum(nearest, np.asarray(dijkstra(graph, indices=sorted(pair), min_only=True, limit=limit)))
    return np.array(sorted(kept))


def _means(
    graph: csr_array, kept: Int[np.ndarray, " kept"], vertex_count: int
) -> tuple[Int[np.ndarray, "vertex 3"], Float32[np.ndarray, "vertex 3"]]:
    """Each vertex as a mean of the nearest kept ones; a kept vertex is nearly itself, and none has a hard edge."""
    distance = np.full((PARENTS, vertex_count), np.inf)
    parent = np.zeros((PARENTS, vertex_count), np.int64)
    # In blocks: all distances between all vertices of a fine mesh would take a gigabyte.
    for start in range(0, len(kept), 256):
        block = np.asarray(dijkstra(graph, indices=kept[start : start + 256]))
        stacked = np.concatenate([distance, block])
        rows = np.concatenate([parent, np.broadcast_to(np.arange(start, start + len(block))[:, None], block.shape)])
        order = np.argsort(stacked, axis=0, kind="stable")[:PARENTS]
        distance, parent = np.take_along_axis(stacked, order, 0), np.take_along_axis(rows, order, 0)
    reach = np.median(distance[0][distance[0] > 0]) if (distance[0] > 0).any() else 1.0
    weights = np.exp(-np.square(distance / reach))
    # A part of the mesh with fewer kept vertices than parents: the missing ones lie at infinity and weigh nothing.
    weights[0] = np.maximum(weights[0], 1e-12)
    return parent.T.copy(), (weights / weights.sum(0)).T.astype(np.float32)


if __name__ == "__main__":
    run_tool(build)
