"""The source's left half, textures welded: what our own mesh is sampled from and mirrored to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.face.assets import HeadAssets

LEFT_OUT = ("left_eye_inner", "right_eye_inner")
"""One shell per eyeball is enough: the outer one, with the cornea."""


@dataclass(frozen=True)
class HalfMesh:
    """N vertices, all on the subject's left or on the mid-line.

    Attributes:
        source: Source vertex of each vertex.
        vertices_mm: Positions in the mean, symmetrised: mid-line vertices have x = 0.
        middle: Vertices on the mid-line.
        faces: Triangles.
        uv: The source's tiles, welded: one row for each place in the texture.
        uv_faces: The triangles' texture vertices.
    """

    source: Int[np.ndarray, " vertex"]
    vertices_mm: Float[np.ndarray, "vertex 3"]
    middle: Bool[np.ndarray, " vertex"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "texture 2"]
    uv_faces: Int[np.ndarray, "face 3"]


def symmetric_mean(source: HeadAssets) -> Float[np.ndarray, "vertex 3"]:
    """The mean of the source's mean head and its mirror image, exactly symmetric under the mirror table."""
    mirrored = source.vertices_mm[source.mirror] * np.array((-1.0, 1.0, 1.0), np.float32)
    return 0.5 * (source.vertices_mm + mirrored)


def left_half(source: HeadAssets) -> HalfMesh:
    """Cut the source along its mid-line.

    Raises:
        ValueError: If a triangle crosses the mid-line, so that a half would not be one.
    """
    vertices = symmetric_mean(source)
    middle = source.mirror == np.arange(len(vertices))
    side = np.where(middle, 0.0, np.sign(source.vertices_mm[:, 0]))[source.faces]
    if ((side.max(1) > 0) & (side.min(1) < 0)).any():
        raise ValueError("the source's triangles cross its mid-line; the mesh cannot be halved along its edges")
    dropped = np.any([source.regions[name] for name in LEFT_OUT], axis=0)
    keep = (side.max(1) > 0) & ~dropped[source.faces].any(1)
    rows, faces = np.unique(source.faces[keep], return_inverse=True)
    faces = faces.reshape(-1, 3)
    uv, uv_faces = _weld(source.uv, source.uv_faces[keep], source.faces[keep])
    half = vertices[rows].astype(np.float64)
    half[middle[rows], 0] = 0.0
    return HalfMesh(rows, half, middle[rows], faces, uv, uv_faces)


def _weld(
    uv: Float[np.ndarray, "texture 2"], uv_faces: Int[np.ndarray, "face 3"], faces: Int[np.ndarray, "face 3"]
) -> tuple[Float[np.ndarray, "welded 2"], Int[np.ndarray, "face 3"]]:
    """One texture vertex for each vertex and place: the source doubles them between its materials."""
    key = np.concatenate([faces.reshape(-1, 1), np.rint(uv[uv_faces.ravel()] * 1e5)], axis=1)
    _, first, welded = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return uv[uv_faces.ravel()[first]].astype(np.float64), welded.reshape(-1, 3)
