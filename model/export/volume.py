"""`volume.npz` and `volume.nrrd`: the whole head as signed distances on a grid, for those who want no mesh.

Networks that answer with a volume (Jackson et al., "Large pose 3D face reconstruction from a single image via direct
volumetric CNN regression", ICCV 2017) give an occupancy on a grid; it is `distance_mm < 0` here.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from common.atomic import atomic_path
from model.export.mesh_part import MeshPart

SPACING_MM = 3.0
"""Between the grid's points: a head of 250 mm gets some 90 along each axis."""

_MARGIN_MM = 9.0
_INSIDE = 0.5
_BESIDE_MM = 0.3


@dataclass(frozen=True)
class Volume:
    """Signed distances on a grid, model space.

    Attributes:
        distance_mm: Distance to the head's surface at each point of the grid, along x, y and z; negative inside.
        origin_mm: Place of the grid's first point.
        spacing_mm: Distance of its points along each axis.
    """

    distance_mm: Float[np.ndarray, "x y z"]
    origin_mm: Float[np.ndarray, "3"]
    spacing_mm: float


def head_volume(
    parts: Sequence[MeshPart], weights: Float[np.ndarray, " expression"], spacing_mm: float = SPACING_MM
) -> Volume:
    """Measure the distance to a head from every point of a grid around it.

    What is inside is told by the generalized winding number (Jacobson et al., SIGGRAPH 2013), since a head is open at
    its neck and made of several meshes, in the fast approximation of Barill et al. (SIGGRAPH 2018).

    Args:
        parts: The head's meshes.
        weights: Its expression.
        spacing_mm: Distance of the grid's points.
    """
    igl = importlib.import_module("igl")
    vertices_mm, faces = _joined(parts, weights)
    lowest, highest = vertices_mm.min(0) - _MARGIN_MM, vertices_mm.max(0) + _MARGIN_MM
    counts = np.ceil((highest - lowest) / spacing_mm).astype(np.int64) + 1
    axes = [low + spacing_mm * np.arange(count) for low, count in zip(lowest, counts, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # The skull under the hair, teeth and eyeballs lie inside: they are no surface of the whole.
    triangles = vertices_mm[faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    beside_mm = _BESIDE_MM * normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    sides = np.concatenate([triangles.mean(1) + beside_mm, triangles.mean(1) - beside_mm])
    buried = (igl.fast_winding_number(vertices_mm, faces, sides) > _INSIDE).reshape(2, -1).all(0)
    distance_mm = np.sqrt(igl.point_mesh_squared_distance(points, vertices_mm, faces[~buried])[0])
    # The library's own signed distances are multiplied by the winding number, which is a fraction where a head is open.
    distance_mm[igl.fast_winding_number(vertices_mm, faces, points) > _INSIDE] *= -1.0
    return Volume(distance_mm.reshape(counts).astype(np.float32), lowest.astype(np.float32), spacing_mm)


def write_volume(volume: Volume, folder: Path) -> None:
    """Write both files.

    Args:
        volume: The volume.
        folder: Where to.
    """
    nrrd = importlib.import_module("nrrd")
    with atomic_path(folder / "volume.npz") as temporary:
        np.savez_compressed(
            temporary,
            distance_mm=volume.distance_mm.astype(np.float16),
            origin_mm=volume.origin_mm,
            spacing_mm=np.float32(volume.spacing_mm),
        )
    # Medical viewers think in the subject's left, back and top; the head's y points up and its z out of the face.
    to_space = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    header = {
        "space": "left-posterior-superior",
        "space directions": volume.spacing_mm * to_space.T,
        "space origin": to_space @ volume.origin_mm,
        "space units": ["mm", "mm", "mm"],
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
    }
    with atomic_path(folder / "volume.nrrd") as temporary:
        nrrd.write(str(temporary), volume.distance_mm, header)


def _joined(
    parts: Sequence[MeshPart], weights: Float[np.ndarray, " expression"]
) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"]]:
    """All meshes as one, in the types that the library takes."""
    vertices, faces, before = [], [], 0
    for part in parts:
        vertices.append(part.posed_mm(weights))
        faces.append(part.faces + before)
        before += len(part.vertices_mm)
    return np.concatenate(vertices).astype(np.float64), np.concatenate(faces).astype(np.int64)
