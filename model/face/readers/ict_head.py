"""ICT-FaceKit's light model on its own topology as a head for use: parts, texture tiles and regions by our names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from model.face.assets import HeadAssets
from model.face.parts import PART_NAMES
from model.face.readers.foreign import ForeignHead
from model.face.readers.ict import read_ict_facekit

_OURS = {
    "face": "skin", "head": "skin", "eye_sockets": "skin", "mouth_socket": "mouth", "gums": "mouth", "teeth": "teeth",
    "left_eye_outer": "eyes", "left_eye_inner": "eyes", "right_eye_outer": "eyes", "right_eye_inner": "eyes",
}  # fmt: skip
"""The source's parts and the tile of our texture space that each gets."""

_EYE_CORNERS = {
    "left_eye_outer": (0.5, 0.5), "right_eye_outer": (0.0, 0.5), "left_eye_inner": (0.5, 0.0),
    "right_eye_inner": (0.0, 0.0),
}  # fmt: skip
"""Lower left corner of each shell's quarter of the eyes' tile; the source lays all four over one another."""

_GUMS_WIDTH = 0.75
"""Of the mouth's tile; the rest is the lining of the mouth."""


def read_ict_head(path: Path) -> ForeignHead:
    """Read ICT-FaceKit's light model, with all vertices of its skin, eyes and mouth in their order.

    Args:
        path: The folder `FaceXModel` of the download, or the .npz of `tools.pack_ict_facekit`.

    Raises:
        FileNotFoundError: If files are missing; the message names them.
        ValueError: If it is not the model.
    """
    source = read_ict_facekit(path)
    regions = source.regions
    eyes = {side: regions[f"{side}_eye_outer"] | regions[f"{side}_eye_inner"] for side in ("left", "right")}
    inside = regions["mouth_socket"] | regions["gums"]
    uv, uv_faces = _texture_space(source)
    assets = replace(
        source,
        uv=uv,
        uv_faces=uv_faces,
        regions={
            "skin": regions["face"] | regions["head"],
            "eyes": eyes["left"] | eyes["right"],
            "left_eye": eyes["left"],
            "right_eye": eyes["right"],
            "eye_sockets": regions["eye_sockets"],
            "mouth_inner": inside,
            "teeth": regions["teeth"],
        },
    )
    note = "The model has no shape for tongueOut, which stays without effect; its tongue is part of the mouth."
    return ForeignHead(assets, {}, ("albedo",), (note,))


def _texture_space(source: HeadAssets) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """The source's coordinates, island by island, in our tiles."""
    islands = _islands(source.uv_faces, len(source.uv))
    part = _part_of_islands(source, islands)
    uv = source.uv.astype(np.float64).copy()
    for name, ours in _OURS.items():
        rows = part[islands] == list(_OURS).index(name)
        uv[rows] = _placed(name, uv[rows]) + (PART_NAMES.index(ours), 0.0)
    return uv.astype(np.float32), source.uv_faces


def _placed(name: str, uv: Float[np.ndarray, "texture 2"]) -> Float[np.ndarray, "texture 2"]:
    """Coordinates within the tile of a part."""
    if name in ("face", "head", "eye_sockets"):
        # The skin fills two tiles of the source.
        return np.clip(uv, 0.0, 2.0) * (0.5, 1.0)
    local = uv - np.floor(uv.mean(0)) if len(uv) else uv
    if name == "gums":
        return local * (_GUMS_WIDTH - 0.01, 1.0)
    if name == "mouth_socket":
        low, high = uv.min(0), uv.max(0)
        return (uv - low) / (high - low) * (0.99 - _GUMS_WIDTH, 1.0) + (_GUMS_WIDTH, 0.0)
    if name in _EYE_CORNERS:
        return 0.5 * np.clip(local, 0.0, 1.0) + _EYE_CORNERS[name]
    return local


def _islands(uv_faces: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, " texture"]:
    starts, ends = uv_faces.ravel(), np.roll(uv_faces, -1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _part_of_islands(source: HeadAssets, islands: Int[np.ndarray, " texture"]) -> Int[np.ndarray, " island"]:
    """The part that most triangles of each island belong to."""
    votes = np.zeros((islands.max() + 1, len(_OURS)), np.int64)
    for number, name in enumerate(_OURS):
        inside: Bool[np.ndarray, " face"] = source.regions[name][source.faces].sum(1) >= 2
        np.add.at(votes[:, number], islands[source.uv_faces[inside, 0]], 1)
    return votes.argmax(1)
