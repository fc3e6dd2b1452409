"""Both halves of our head from the sampled left one, and what the source's statistics are at its vertices."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.face.assets import HeadAssets
from tools.head.half_mesh import HalfMesh
from tools.head.relax import SampledMesh


@dataclass(frozen=True)
class SampledHead:
    """Our whole topology on the source. The left half comes first, in everything, its reflection after it.

    Attributes:
        corners: The source's vertices around each of ours.
        weights: Their weights, each row sums to 1.
        faces: Triangles; triangle k of the left half is mirrored by triangle k + F / 2, corners in the order 0, 2, 1.
        mirror: Vertex on the other side.
    """

    corners: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    mirror: Int[np.ndarray, " vertex"]

    def sample(self, values: Float[np.ndarray, "*lead vertex 3"]) -> Float[np.ndarray, "*lead ours 3"]:
        """A quantity of the source at our vertices."""
        return np.einsum("...vcx,vc->...vx", values[..., self.corners, :], self.weights).astype(np.float32)

    def part(self, mask: Bool[np.ndarray, " source"]) -> Bool[np.ndarray, " vertex"]:
        """Our vertices that lie on a part of the source: their heaviest corner does."""
        return mask[heaviest_corners(self.corners, self.weights)]


def heaviest_corners(
    corners: Int[np.ndarray, "vertex 3"], weights: Float[np.ndarray, "vertex 3"]
) -> Int[np.ndarray, " vertex"]:
    """Of the three vertices around each barycentric point, the one that counts most."""
    return np.take_along_axis(corners, weights.argmax(1)[:, None], axis=1)[:, 0]


def reflect(mesh: SampledMesh, half: HalfMesh, source: HeadAssets) -> SampledHead:
    """Add the right half.

    Args:
        mesh: Our left half.
        half: The source's left half it was sampled from.
        source: The source.
    """
    count = len(mesh.corners)
    others = np.flatnonzero(~mesh.middle)
    twin = np.arange(count)
    twin[others] = count + np.arange(len(others))
    corners = half.source[mesh.corners]
    return SampledHead(
        corners=np.concatenate([corners, source.mirror[corners[others]]]),
        weights=np.concatenate([mesh.weights, mesh.weights[others]]),
        faces=np.concatenate([mesh.faces, twin[mesh.faces][:, [0, 2, 1]]]).astype(np.int32),
        mirror=np.concatenate([twin, others]).astype(np.int32),
    )


def reflect_texture(
    uv: Float[np.ndarray, "texture 2"], uv_faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "whole 2"], Int[np.ndarray, "both 3"]]:
    """Add the right half of the texture space: each tile mirrored at its middle, u = 0.5 of the first shared.

    Args:
        uv: Texture vertices of the left half, in the right half of each tile.
        uv_faces: The triangles' texture vertices.
    """
    others = np.flatnonzero(uv[:, 0] != 0.5)
    twin = np.arange(len(uv))
    twin[others] = len(uv) + np.arange(len(others))
    mirrored = uv[others] * (-1.0, 1.0)
    # The right edge of a tile belongs to it and not to the next.
    mirrored[:, 0] += 2.0 * np.ceil(uv[others, 0]) - 1.0
    return (
        np.concatenate([uv, mirrored]).astype(np.float32),
        np.concatenate([uv_faces, twin[uv_faces][:, [0, 2, 1]]]).astype(np.int32),
    )


def mean_vertices(mesh: SampledMesh, half: HalfMesh) -> Float[np.ndarray, "vertex 3"]:
    """Our mean head, mirror-symmetric to the last bit."""
    left = mesh.points(half).astype(np.float32)
    left[mesh.middle, 0] = 0.0
    others = np.flatnonzero(~mesh.middle)
    return np.concatenate([left, left[others] * np.array((-1.0, 1.0, 1.0), np.float32)])
