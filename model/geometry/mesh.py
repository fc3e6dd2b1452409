"""The mesh that crosses the parts of the model, and the differential quantities computed on it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """The heads of a batch; the topology is the morphable model's.

    Attributes:
        vertices_mm: Model space, with identity and expression, before pose.
        vertices_camera_mm: The same vertices in camera space.
        albedo_linear: Diffuse albedo per vertex, linear RGB.
    """

    vertices_mm: Float[Tensor, "batch vertex 3"]
    vertices_camera_mm: Float[Tensor, "batch vertex 3"]
    albedo_linear: Float[Tensor, "batch vertex 3"]


def face_normals(
    vertices: Float[Tensor, "batch vertex 3"], faces: Int[Tensor, "face 3"]
) -> Float[Tensor, "batch face 3"]:
    """Area-weighted face normals (length = twice the area), counter-clockwise faces pointing outwards."""
    a, b, c = (vertices[:, faces[:, corner].long()] for corner in range(3))
    return torch.linalg.cross(b - a, c - a, dim=-1)


def faces_around(faces: Int[Tensor, "face 3"], vertex_count: int) -> Int[Tensor, "vertex around"]:
    """The faces around each vertex, every row filled up to the longest one with the number of faces."""
    corners = faces.long().flatten()
    order = torch.argsort(corners, stable=True)
    vertices = corners[order]
    counts = torch.bincount(corners, minlength=vertex_count)
    place = torch.arange(len(vertices), device=faces.device) - (counts.cumsum(0) - counts)[vertices]
    around = torch.full((vertex_count, int(counts.max())), len(faces), device=faces.device)
    around[vertices, place] = torch.div(order, 3, rounding_mode="floor")
    return around


def vertex_normals(
    vertices: Float[Tensor, "batch vertex 3"],
    faces: Int[Tensor, "face 3"],
    around: Int[Tensor, "vertex around"] | None = None,
) -> Float[Tensor, "batch vertex 3"]:
    """Unit vertex normals: the area-weighted mean of the faces around each vertex.

    A vertex of no face gets the zero vector.

    Args:
        vertices: Places of the vertices.
        faces: Triangles.
        around: `faces_around`, for graphs that are compiled or exported: sums that add several rows into one are
            slow in them, or missing.
    """
    if around is not None:
        normals = face_normals(vertices, faces)
        normals = torch.cat((normals, torch.zeros_like(normals[:, :1])), dim=1)
        return torch.nn.functional.normalize(normals[:, around].sum(2), dim=-1)
    # Vertex-major, so that each gathered or added row holds the whole batch: twice as fast on a CPU at batch 32.
    rows = vertices.transpose(0, 1)
    corners = [faces[:, corner].long() for corner in range(3)]
    a, b, c = (rows.index_select(0, corner) for corner in corners)
    normals = torch.linalg.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(rows)
    for corner in corners:
        total = total.index_add(0, corner, normals)
    return torch.nn.functional.normalize(total, dim=-1).transpose(0, 1)


def uniform_laplacian(faces: Int[Tensor, "face 3"], vertex_count: int) -> Float[Tensor, "vertex vertex"]:
    """Sparse uniform Laplacian L, so that `(L @ x)[v] = mean(x[neighbours of v]) - x[v]`.

    Args:
        faces: Triangles.
        vertex_count: Number of vertices; a vertex without neighbours gets a zero row.

    Returns:
        A sparse COO matrix.
    """
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])).long()
    edges = torch.unique(torch.cat((edges, edges.flip(1))), dim=0)
    degree = torch.bincount(edges[:, 0], minlength=vertex_count).clamp(min=1)
    weights = degree[edges[:, 0]].reciprocal()
    present = torch.unique(edges[:, 0])
    indices = torch.cat((edges.T, present.repeat(2, 1)), dim=1)
    values = torch.cat((weights, -torch.ones(len(present), device=faces.device)))
    return torch.sparse_coo_tensor(indices, values, (vertex_count, vertex_count), check_invariants=False).coalesce()
