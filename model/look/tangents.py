"""Tangents of a textured mesh: the frame that a tangent-space normal map is stated in."""

import numpy as np
from jaxtyping import Float, Int


def vertex_tangents(
    positions: Float[np.ndarray, "vertex 3"],
    normals: Float[np.ndarray, "vertex 3"],
    uv: Float[np.ndarray, "vertex 2"],
    faces: Int[np.ndarray, "face 3"],
) -> Float[np.ndarray, "vertex 4"]:
    """Where u grows on the surface at each vertex, and on which side v does.

    The directions of the triangles about a vertex, weighted with their area, made perpendicular to its normal and unit
    (Lengyel, "Foundations of Game Engine Development" 2, 7.5). glTF: bitangent = cross(normal, tangent) * w, along
    which v grows upwards.

    Args:
        positions: Vertices, split at texture seams.
        normals: Unit normals.
        uv: Texture coordinates, v up.
        faces: Triangles.

    Returns:
        Unit tangent and w, 1 or -1; any tangent where the texture says none.
    """
    first, second = (positions[faces[:, k]] - positions[faces[:, 0]] for k in (1, 2))
    (u1, v1), (u2, v2) = ((uv[faces[:, k]] - uv[faces[:, 0]]).T.astype(np.float64) for k in (1, 2))
    area = u1 * v2 - u2 * v1
    side = np.sign(area)[:, None]
    # Not divided by the area: small triangles of the texture would outweigh the others.
    along_u = (first * v2[:, None] - second * v1[:, None]) * side
    along_v = (second * u1[:, None] - first * u2[:, None]) * side
    sums = np.zeros((2, len(positions), 3))
    for corner in range(3):
        np.add.at(sums[0], faces[:, corner], along_u)
        np.add.at(sums[1], faces[:, corner], along_v)
    tangent = sums[0] - (sums[0] * normals).sum(1, keepdims=True) * normals
    length = np.linalg.norm(tangent, axis=1, keepdims=True)
    lost = length[:, 0] < 1e-12
    # Any direction across the normal: that along the axis which the normal has least of.
    axis = np.eye(3)[np.abs(normals[lost]).argmin(1)]
    tangent[lost] = axis - (axis * normals[lost]).sum(1, keepdims=True) * normals[lost]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    w = np.where((np.cross(normals, tangent) * sums[1]).sum(1) < 0.0, -1.0, 1.0)
    return np.concatenate((tangent, w[:, None]), axis=1).astype(np.float32)
