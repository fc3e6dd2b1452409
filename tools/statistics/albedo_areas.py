"""Which vertices photographs can teach the albedo of, which are bare skin, and how left and right pair up."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix, eye

from model.face.assets import HeadAssets
from tools.statistics.albedo_fill import adjacency, averaging
from tools.statistics.albedo_learning import Sides
from tools.statistics.surface import SurfacePoints

_FOREHEAD_MM = 30.0
"""Height above the brows up to which a forehead is believed to be free of hair."""


def landmark_points(head: HeadAssets) -> Float[np.ndarray, "68 3"]:
    """IBUG's 68 on the mean head."""
    stored = head.landmarks["ibug68"]
    return SurfacePoints(stored.face.astype(np.int64), stored.barycentric).evaluate(head.vertices_mm, head.faces)


def bare_skin(head: HeadAssets) -> Bool[np.ndarray, " vertex"]:
    """Forehead and temples: vertices above the brows, or beside the eyes and above the mouth."""
    points, vertices = landmark_points(head), head.vertices_mm
    brow = points[17:22]
    order = np.argsort(np.abs(brow[:, 0]))
    height = np.interp(np.abs(vertices[:, 0]), np.abs(brow[order, 0]), brow[order, 1])
    beside = (np.abs(vertices[:, 0]) > np.abs(points[17, 0]) + 2.0) & (vertices[:, 1] > points[48, 1] + 20.0)
    return (vertices[:, 1] > height + 7.0) | beside


def believed_area(head: HeadAssets) -> Float[np.ndarray, " vertex"]:
    """1 inside the face, falling to 0 at its border and below the hairline."""
    points, vertices = landmark_points(head), head.vertices_mm
    top = points[17:27, 1].mean() + _FOREHEAD_MM
    # From the brows' ends a line runs back and down to the jaw: behind it grow temples' hair and sideburns.
    level = [points[48, 1] - 20.0, points[36, 1] - 15.0, points[17, 1], top]
    farthest_back = np.interp(vertices[:, 1], level, points[17, 2] + np.array([-60.0, -22.0, -4.0, 12.0]))
    area = head.regions["face"] & (vertices[:, 1] < top) & (vertices[:, 2] > farthest_back)
    area = area.astype(np.float64)
    blur = averaging(adjacency(head.faces, len(area)))
    soft = area
    for _ in range(6):
        soft = blur @ soft
    return (2.0 * soft - 1.0).clip(0.0, 1.0) * area


def symmetric_sides(head: HeadAssets, domain: Int[np.ndarray, " vertex"]) -> tuple[Sides, Int[np.ndarray, " entry"]]:
    """Pair the sampled vertices; returns the pairing and the vertex of every entry's first side."""
    position = np.full(len(head.mirror), -1)
    position[domain] = np.arange(len(domain))
    half = domain[domain <= head.mirror[domain]]
    entry = np.full(len(head.mirror), -1)
    entry[half] = entry[head.mirror[half]] = np.arange(len(half))
    first_end, second_end = adjacency(head.faces, len(head.mirror)).nonzero()
    inside = (entry[first_end] >= 0) & (entry[second_end] >= 0)
    ends = (entry[first_end[inside]], entry[second_end[inside]])
    graph = csr_matrix((np.ones(inside.sum()), ends), shape=(len(half), len(half)))
    graph.data[:] = 1.0
    graph = averaging(csr_matrix(graph + eye(len(half))))
    neighbours = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack(graph.nonzero()).astype(np.int64)),
        torch.from_numpy(graph.data.astype(np.float32)),
        (len(half), len(half)),
    ).coalesce()
    core = torch.from_numpy(believed_area(head)[half] > 0.5)
    strict = torch.from_numpy(bare_skin(head)[half])
    first, second = (torch.from_numpy(position[v].astype(np.int64)) for v in (half, head.mirror[half]))
    return Sides(first, second, core, strict, neighbours), half
