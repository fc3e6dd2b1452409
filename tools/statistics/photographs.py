"""Photographs with labels on disk: tars of JPEGs beside `annotations.npz` and `landmarks68.npz`.

The points keep the photograph's pixels, but every array here has +y up and +z towards the viewer, so that a weak
perspective of camera space (x right, y up, z towards the viewer) needs no sign.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from data.plan import PrepareConfig, is_held_out
from data.readers import read_annotated

# fmt: off
IBUG68_FROM_MEDIAPIPE = np.array([
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
])
# fmt: on
"""MediaPipe's index that lies nearest to each of iBUG's 68."""


@dataclass(frozen=True)
class PhotographLabels:
    """What is known of N photographs; row order is that of `annotations.npz`.

    Attributes:
        name: Path inside the tars.
        source: Folder the photograph is from (`aflw`, `lfw`, `web`, `misc`).
        size_hw: Height and width, px.
        color: False where the photograph is grey.
        reliable: False where the 68 points were judged wrong.
        points68: iBUG's 68: x px from the left, y px *up* (minus the row), z px towards the viewer (zero mean).
        box_px: Square root of the area of the box around the 68 points.
        yaw_deg: Head yaw from the points' own depth, in degrees, > 0 towards image right.
        held_out: True for photographs of the validation set (`data.plan`): nothing is learned from them.
        hand_residual: Distance to the hand-made points as a fraction of the face's size; 0 where there are none.
    """

    name: np.ndarray
    source: np.ndarray
    size_hw: Int[np.ndarray, "photo 2"]
    color: Bool[np.ndarray, " photo"]
    reliable: Bool[np.ndarray, " photo"]
    points68: Float[np.ndarray, "photo 68 3"]
    box_px: Float[np.ndarray, " photo"]
    yaw_deg: Float[np.ndarray, " photo"]
    hand_residual: Float[np.ndarray, " photo"]
    held_out: Bool[np.ndarray, " photo"]


def load_labels(folder: Path) -> PhotographLabels:
    """Read the two label files of a photograph folder.

    Args:
        folder: Holds `annotations.npz` and `landmarks68.npz`.

    Returns:
        The labels, y up.

    Raises:
        FileNotFoundError: If one of the files is missing.
    """
    for name in ("annotations.npz", "landmarks68.npz"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: give a folder with tars, annotations and landmarks68")
    annotations, landmarks = np.load(folder / "annotations.npz"), np.load(folder / "landmarks68.npz")
    points = landmarks["points_eighth_px"].transpose(2, 0, 1).astype(np.float32) / 8.0
    extent = points[..., :2].max(1) - points[..., :2].min(1)
    points[..., 1] *= -1.0
    percent = PrepareConfig.validation_percent
    groups = [photograph.group for photograph in read_annotated(folder)]
    return PhotographLabels(
        name=annotations["name"],
        source=annotations["source"],
        size_hw=annotations["size_hw"].astype(np.int64),
        color=annotations["color"],
        reliable=landmarks["reliable"],
        points68=points,
        box_px=np.sqrt(np.maximum(extent.prod(1), 1.0)),
        yaw_deg=_yaw_from_points(points),
        hand_residual=np.nan_to_num(landmarks["hand_residual"].astype(np.float32)),
        held_out=np.array([is_held_out(group, percent) for group in groups]),
    )


def _yaw_from_points(points: Float[np.ndarray, "photo 68 3"]) -> Float[np.ndarray, " photo"]:
    """Yaw of the line between the jaw's two ends (points 0 and 16, subject's right to left), degrees."""
    across = points[:, 16] - points[:, 0]
    return np.degrees(np.arctan2(-across[:, 2], across[:, 0]))


def load_meshes(folder: Path, rows: Int[np.ndarray, " photo"]) -> Float[np.ndarray, "photo 478 3"]:
    """MediaPipe's 478 points of some photographs: px, y up, z towards the viewer with zero mean."""
    annotations = np.load(folder / "annotations.npz")
    residual = annotations["mesh_residual"][:, :, rows].transpose(2, 1, 0).astype(np.float32) / 4.0
    scale, center = annotations["mesh_scale"][rows], annotations["mesh_center"][rows]
    mesh = residual + annotations["mesh_mean"] * scale[:, None, None] + center[:, None]
    mesh = (mesh * np.array([1.0, -1.0, -1.0])).astype(np.float32)
    mesh[..., 2] -= mesh[..., 2].mean(1, keepdims=True)
    return mesh


def load_aligned_meshes(
    folder: Path, labels: PhotographLabels, rows: Int[np.ndarray, " photo"]
) -> Float[np.ndarray, "photo 478 3"]:
    """`load_meshes` with depths moved to those of the 68 points: two networks' depths have different offsets."""
    mesh, inner = load_meshes(folder, rows), np.arange(17, 68)
    offset = labels.points68[rows][:, inner, 2] - mesh[:, IBUG68_FROM_MEDIAPIPE[inner], 2]
    mesh[..., 2] += offset.mean(1, keepdims=True)
    return mesh


def good_meshes(folder: Path, labels: PhotographLabels, largest_yaw_deg: float) -> Bool[np.ndarray, " photo"]:
    """Photographs whose dense mesh may be believed: near-frontal, in agreement with the hand-made points."""
    annotations = np.load(folder / "annotations.npz")
    doubt = np.nan_to_num(annotations["mesh_disagreement"].astype(np.float32))
    return annotations["has_mesh"] & labels.reliable & (doubt < 0.03) & (np.abs(labels.yaw_deg) < largest_yaw_deg)


def iterate_photographs(folder: Path, wanted: dict[str, int]) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """Decode some photographs of the tars, in the tars' order.

    Args:
        folder: Holds the `*.tar` files.
        wanted: Names inside the tars, each with the number to yield it under.

    Yields:
        The number and the photograph, sRGB uint8.
    """
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in wanted else None
                if stream is None:
                    continue
                image = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
                if image is not None:
                    yield wanted[member.name], image[..., ::-1]
