"""ICT-FaceKit's light model on its own topology as a head for use: one texture, and regions by our names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from model.face.assets import HeadAssets
from model.face.readers.foreign import ForeignHead, in_one_tile
from model.face.readers.ict import read_ict_facekit

_SKIN = ("face", "head", "eye_sockets", "mouth_socket")
_BELOW = ("gums", "teeth", "left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner")
"""Parts that get a place of their own below the skin in the texture; the source lays them over one another."""


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
    """The source's coordinates, island by island, in one tile."""
    islands = _islands(source.uv_faces, len(source.uv))
    part = _part_of_islands(source, islands)[islands]
    uv = source.uv.astype(np.float64)
    # The skin fills two tiles of the source, each other part one.
    local = np.where(part[:, None] == 0, np.clip(uv, 0.0, 2.0) * (0.5, 1.0), uv - np.stack((_tile(uv), 0.0 * part), 1))
    placed = in_one_tile(local.clip(0.0, 1.0), part, 1 + len(_BELOW))
    return placed.astype(np.float32), source.uv_faces


def _tile(uv: Float[np.ndarray, "texture 2"]) -> Float[np.ndarray, " texture"]:
    # A coordinate of exactly 3.0 is the right border of the tile before.
    return np.ceil(uv[:, 0]) - 1.0


def _islands(uv_faces: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, " texture"]:
    starts, ends = uv_faces.ravel(), np.roll(uv_faces, -1, axis=1).ravel()
    graph = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _part_of_islands(source: HeadAssets, islands: Int[np.ndarray, " texture"]) -> Int[np.ndarray, " island"]:
    """The part that most triangles of each island belong to: 0 for skin, then those of `_BELOW`."""
    votes = np.zeros((islands.max() + 1, 1 + len(_BELOW)), np.int64)
    for number, names in enumerate((_SKIN, *((name,) for name in _BELOW))):
        mask = np.any([source.regions[name] for name in names], axis=0)
        inside: Bool[np.ndarray, " face"] = mask[source.faces].sum(1) >= 2
        np.add.at(votes[:, number], islands[source.uv_faces[inside, 0]], 1)
    return votes.argmax(1)
