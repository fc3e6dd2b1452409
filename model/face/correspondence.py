"""Which place of one head is which of another: by registration, found once for each pair of head files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from trimesh.triangles import points_to_barycentric

from common.tensors import read_tensors, save_tensors
from model.face.assets import HeadAssets
from model.face.registration import Registration, RegistrationConfig, Target, anchors_of, register
from model.geometry.surface_distance import Surface

MAP_FORMAT = "likeness-surface-map-1"

COVERED_MM = 2.0
"""A vertex that lies further from the other head's surface has no place on it."""

_INSIDE = ("eyes", "eye_sockets", "mouth_inner", "teeth", "tongue")
_JAW = 17
"""iBUG's first points lie on an outline that every model draws elsewhere; they are no places of the skin."""


@dataclass(frozen=True)
class SurfaceMap:
    """Where the T vertices of one head lie on the surface of another, the source.

    Attributes:
        corners: Vertices of the source around each.
        weights: Their weights.
        distance_mm: How far from the source's surface it lies, once that is registered.
    """

    corners: Int[np.ndarray, "vertex 3"]
    weights: Float[np.ndarray, "vertex 3"]
    distance_mm: Float[np.ndarray, " vertex"]

    @property
    def covered(self) -> Bool[np.ndarray, " vertex"]:
        """Which vertices have a place on the source."""
        return self.distance_mm <= COVERED_MM

    def carry(self, values: Float[np.ndarray, "*lead source channel"]) -> Float[np.ndarray, "*lead vertex channel"]:
        """A quantity of the source's vertices at the vertices."""
        return np.einsum("...vcx,vc->...vx", values[..., self.corners, :], self.weights)

    def carry_mask(self, mask: Bool[np.ndarray, " source"]) -> Bool[np.ndarray, " vertex"]:
        """A region of the source: the corner that weighs most decides."""
        return mask[self.corners[np.arange(len(self.corners)), self.weights.argmax(1)]] & self.covered


def outer_skin(head: HeadAssets) -> Bool[np.ndarray, " vertex"]:
    """The vertices that may lie on somebody else's skin: all, where a head does not say what is inside."""
    skin = head.regions.get("skin", np.ones(len(head.vertices_mm), bool)).copy()
    for name in _INSIDE:
        skin &= ~head.regions.get(name, np.zeros(len(skin), bool))
    return skin


def registered(
    source: HeadAssets,
    target: HeadAssets,
    target_points_mm: Mapping[int, Float[np.ndarray, "3"]],
    config: RegistrationConfig | None = None,
) -> Registration:
    """Lay the source onto the mean of the target.

    Args:
        source: A head that has `ibug68`.
        target: Another head.
        target_points_mm: Where iBUG's points lie on the target, by number; outlines are left out.
        config: How far the source may bend.

    Raises:
        ValueError: If too few points are known.
    """
    numbers = np.array([number for number in sorted(target_points_mm) if number >= _JAW], np.int64)
    places = np.array([target_points_mm[number] for number in numbers.tolist()], np.float64).reshape(-1, 3)
    skin = outer_skin(target)
    faces = target.faces[skin[target.faces].all(1)]
    surface = Target(target.vertices_mm.astype(float), faces)
    return register(source, surface, anchors_of(source, numbers, places), outer_skin(source), config)


def surface_map(
    source: HeadAssets,
    vertices_mm: Float[np.ndarray, "source 3"],
    points_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"] | None = None,
) -> SurfaceMap:
    """Where points lie on a registered source.

    Args:
        source: The source.
        vertices_mm: Where its vertices are after registration.
        points_mm: The points, such as the target's vertices.
        faces: Triangles of the source that may be hit; by default all.
    """
    faces = source.faces if faces is None else faces
    nearest = Surface(vertices_mm, faces).nearest(points_mm)
    corners = faces[nearest.face]
    weights = np.nan_to_num(points_to_barycentric(vertices_mm[corners], nearest.position_mm), nan=1.0 / 3.0)
    weights = weights.clip(0.0, 1.0)
    return SurfaceMap(corners.astype(np.int32), weights / weights.sum(1, keepdims=True), nearest.distance_mm)


def save_map(found: SurfaceMap, path: Path, source_sha256: str, target_sha256: str) -> None:
    """Write a map, atomically, with the hashes of the two head files that it belongs to."""
    tensors = {
        "corners": found.corners.astype(np.int32),
        "weights": found.weights.astype(np.float32),
        "distance_mm": found.distance_mm.astype(np.float32),
    }
    save_tensors(tensors, path, {"format": MAP_FORMAT, "source": source_sha256, "target": target_sha256})


def load_map(path: Path, source_sha256: str, target_sha256: str) -> SurfaceMap:
    """Read a map.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is no map, or one of other heads; the message names it.
    """
    remedy = "remove it, and it is made again"
    tensors, metadata = read_tensors(path, MAP_FORMAT, framework="numpy", remedy=remedy)
    if (metadata.get("source"), metadata.get("target")) != (source_sha256, target_sha256):
        raise ValueError(f"{path}: a map of two other heads; {remedy}")
    return SurfaceMap(tensors["corners"], tensors["weights"].astype(float), tensors["distance_mm"].astype(float))
