"""What is the same for every face of a head, part by part: vertices split at texture seams, where each texel lies."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csc_matrix, csr_matrix

from model.face.morphable_model import MorphableModel
from model.face.parts import HeadPart, head_parts
from model.look.completion import graph_laplacian
from model.render.backends import build_rasterizer


@dataclass(frozen=True)
class Atlas:
    """The texture space of a part of a head, at one resolution.

    Attributes:
        part: Name of the part (`model.face.parts`).
        vertex: Head vertex of each split vertex.
        uv: Texture coordinate of each split vertex in [0, 1], v up.
        faces: Triangles of split vertices.
        covered: Texels that lie on the part; row 0 is the top, v = 1.
        sampling: From values at the head's vertices to values at the covered texels.
        nearest: Row of the covered texel nearest to each texel of the image.
        laplacian: Of the whole head's vertices and edges.
    """

    part: str
    vertex: Int[np.ndarray, " split"]
    uv: Float[np.ndarray, "split 2"]
    faces: Int[np.ndarray, "face 3"]
    covered: Bool[np.ndarray, "size size"]
    sampling: csr_matrix
    nearest: Int[np.ndarray, "size size"]
    laplacian: csc_matrix

    def sample(self, values: Float[np.ndarray, "vertex channel"]) -> Float[np.ndarray, "texel channel"]:
        """Interpolate per-vertex values at the covered texels."""
        return self.sampling @ values

    def coarse(self, values: Float[np.ndarray, "vertex channel"], side: int) -> Float[np.ndarray, "side side channel"]:
        """Per-vertex values over a coarser picture of the texture space; off the islands those of the nearest texel.

        Args:
            values: At the head's vertices.
            side: About what the picture's side shall be: the texture's over a whole number.
        """
        step = max(1, len(self.covered) // side)
        rows = self.nearest[step // 2 :: step, step // 2 :: step]
        return (self.sampling[rows.ravel()] @ values).reshape(*rows.shape, -1)


def build_atlas(morphable_model: MorphableModel, size: int, part: HeadPart | None = None) -> Atlas:
    """Split the vertices of a part and draw its texture space once.

    Args:
        morphable_model: The head.
        size: Side of the texture in px.
        part: The part; the first, which is the skin, if None.
    """
    part = head_parts(morphable_model)[0] if part is None else part
    faces = morphable_model.faces.cpu().numpy().astype(np.int64)
    own = faces[part.faces]
    uv_faces = morphable_model.uv_faces.cpu().numpy().astype(np.int64)[part.faces]
    uv = morphable_model.uv.cpu().numpy() - np.array([part.tile, 0.0], np.float32)
    pairs, split = np.unique(np.stack((own, uv_faces), -1).reshape(-1, 2), axis=0, return_inverse=True)
    split_faces = split.reshape(-1, 3).astype(np.int32)
    split_uv = uv[pairs[:, 1]]
    flat = np.stack((split_uv[:, 0] * size, (1.0 - split_uv[:, 1]) * size, np.ones(len(split_uv))), -1)
    fragments = build_rasterizer("cpu").rasterize(
        torch.from_numpy(1000.0 * (flat * (0.001, 0.001, 1.0))).float()[None], torch.from_numpy(split_faces), size, size
    )
    face_index = fragments.face_index[0].numpy()
    covered = face_index >= 0
    return Atlas(
        part=part.name,
        vertex=pairs[:, 0],
        uv=split_uv.astype(np.float32),
        faces=split_faces,
        covered=covered,
        sampling=_barycentric_matrix(
            own[face_index[covered]], fragments.barycentric[0].numpy()[covered], len(morphable_model.mirror)
        ),
        nearest=_nearest_covered(covered),
        laplacian=graph_laplacian(faces, len(morphable_model.mirror)),
    )


def _barycentric_matrix(
    corners: Int[np.ndarray, "texel 3"], weights: Float[np.ndarray, "texel 3"], vertex_count: int
) -> csr_matrix:
    # As a sparse matrix five times as fast as gathering the corners.
    starts = np.arange(0, corners.size + 1, 3, dtype=np.int32)
    entries = (weights.astype(np.float32).ravel(), corners.astype(np.int32).ravel(), starts)
    return csr_matrix(entries, shape=(len(corners), vertex_count))


def _nearest_covered(covered: Bool[np.ndarray, "size size"]) -> Int[np.ndarray, "size size"]:
    _, drawn = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(drawn, np.int32)
    row_of_label = np.zeros(int(labels.max()) + 1, np.int32)
    row_of_label[labels[covered]] = np.arange(int(covered.sum()))
    return row_of_label[labels]
