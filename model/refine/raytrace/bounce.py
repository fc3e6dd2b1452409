"""Light that reaches a sample by one diffuse reflection at another place of the head: red lips under a red-lit nose.

What a sample sees of the head is a sparse matrix W over the vertices, made of the first hits of its blocked
directions. The bounce of light k is then W @ (albedo_v x irradiance_v,k), with the direct irradiance at the vertices.
"""

import warnings

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.refine.raytrace.light_basis import fibonacci_directions
from model.refine.raytrace.pixel_surface import HeadGeometry, ShadingPoints, offset_origins
from model.refine.raytrace.ray_queries import RayQueries

_PAIRS_PER_BLOCK = 1 << 21


def seen_vertices(
    points: ShadingPoints,
    geometry: HeadGeometry,
    rays: RayQueries,
    direction_count: int,
) -> Tensor:
    """The sparse CSR matrix W (sample, vertex): shares of the cosine-weighted hemisphere in which vertices are seen.

    Triangles seen from behind (through an open neck, say) reflect nothing. A row sums to 1 in a closed room.

    Args:
        points: The samples.
        geometry: The head.
        rays: The same head.
        direction_count: Directions of the sphere that are looked into.
    """
    directions = fibonacci_directions(direction_count)
    origins_mm, faces = offset_origins(points), geometry.faces.cpu().numpy()
    outward = _outward(geometry)
    samples, vertices, weights = [], [], []
    step = max(1, _PAIRS_PER_BLOCK // direction_count)
    for start in range(0, len(points), step):
        block = slice(start, min(start + step, len(points)))
        cosines = (points.normal[block] @ directions.T).clamp(min=0.0)
        cosines[points.geometric_normal[block] @ directions.T <= 0.0] = 0.0
        sample, direction = np.nonzero(cosines.numpy())
        toward = directions.numpy()[direction]
        hits = rays.first_hit(origins_mm[start + sample], toward)
        met = hits.face_index >= 0
        met[met] = (outward[hits.face_index[met]] * toward[met]).sum(1) < 0.0
        sample, direction, triangle = sample[met], direction[met], hits.face_index[met]
        share = cosines.numpy()[sample, direction] * (4.0 / direction_count)
        samples.append(np.repeat(start + sample, 3))
        vertices.append(faces[triangle].ravel())
        weights.append((hits.barycentric[met] * share[:, None]).ravel())
    places = np.stack((np.concatenate(samples), np.concatenate(vertices)))
    return _csr(places, np.concatenate(weights), (len(points), len(geometry.vertices_mm)))


def bounce_table(
    seen: Tensor, albedo_linear: Float[Tensor, "vertex 3"], vertex_diffuse: Float[Tensor, "vertex light"]
) -> Float[Tensor, "sample light 3"]:
    """Bounced light per basis light and colour channel.

    Args:
        seen: From `seen_vertices`.
        albedo_linear: Albedo per vertex.
        vertex_diffuse: The diffuse table of the vertices.
    """
    albedo_linear = albedo_linear.detach().float().cpu().clamp(0.0, 1.0)
    channels = [seen @ (albedo_linear[:, channel, None] * vertex_diffuse) for channel in range(3)]
    return torch.stack(channels, dim=-1)


def _outward(geometry: HeadGeometry) -> Float[np.ndarray, "face 3"]:
    corners = geometry.vertices_mm.detach().float().cpu().numpy()[geometry.faces.cpu().numpy()]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _csr(places: np.ndarray, weights: np.ndarray, shape: tuple[int, int]) -> Tensor:
    coordinates = torch.sparse_coo_tensor(
        torch.from_numpy(places), torch.from_numpy(weights.astype(np.float32)), shape, check_invariants=False
    )
    with warnings.catch_warnings():
        # "Sparse CSR tensor support is in beta state": its product is all that is asked of it.
        warnings.simplefilter("ignore", UserWarning)
        return coordinates.coalesce().to_sparse_csr()
