"""`Detection`: what a detector says of one face. Apart from the detector, so that using one does not load a network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

SIZE_TOLERANCE = 0.8
"""Boxes of small faces tremble: what is smaller than was asked for by less than this counts as large enough. A strict
limit of 24 px lost a quarter of the faces of that size."""

SAME_FACE = 0.3
"""Boxes with a larger intersection over union show one face."""

_INSIDE = 0.7


@dataclass(frozen=True, eq=False)
class Detection:
    """A face found in a photograph, in its px.

    Attributes:
        box_px: Left, top, right, bottom; may reach over the border.
        points_px: Image-left eye, image-right eye, nose; then image-left and image-right corner of the mouth where
            there are five, or the middle of the mouth, image-left and image-right ear where there are six. Left and
            right are those of the picture turned upright, if the face is turned in it.
        score: Confidence in [0, 1].
        roll_degrees: Turn of the face in the picture, counter-clockwise: 0 unless it was found in a turned picture.
    """

    box_px: Float32[np.ndarray, "4"]
    points_px: Float32[np.ndarray, "point 2"]
    score: float
    roll_degrees: float = 0.0

    @property
    def area_px(self) -> float:
        """Area of the box."""
        width, height = self.box_px[2:] - self.box_px[:2]
        return float(width * height)

    @property
    def side_px(self) -> float:
        """Size of the face: square root of the box's area."""
        return float(np.sqrt(max(self.area_px, 0.0)))

    @property
    def center_px(self) -> Float[np.ndarray, "2"]:
        """Middle of the box."""
        return 0.5 * (self.box_px[:2].astype(np.float64) + self.box_px[2:])

    @property
    def features_px(self) -> Float[np.ndarray, "4 2"]:
        """Image-left eye, image-right eye, nose and middle of the mouth, which every detector knows."""
        points = self.points_px.astype(np.float64)
        mouth = points[3:5].mean(axis=0) if len(points) == 5 else points[3]
        return np.concatenate((points[:3], mouth[None]))


def without_duplicates(faces: Sequence[Detection]) -> list[Detection]:
    """Of faces that overlap much, keep the one with the highest score; also of one inside another."""
    kept: list[Detection] = []
    boxes = np.zeros((len(faces), 4), np.float32)
    for face in sorted(faces, key=lambda face: -face.score):
        others = boxes[: len(kept)]
        shared = _shared_px(others, face.box_px)
        areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
        either, smaller = areas + face.area_px - shared, np.minimum(areas, face.area_px)
        if not (
            (shared >= SAME_FACE * np.maximum(either, 1e-9)) | (shared >= _INSIDE * np.maximum(smaller, 1e-9))
        ).any():
            boxes[len(kept)] = face.box_px
            kept.append(face)
    return kept


def overlap(one: Detection, other: Detection) -> float:
    """Intersection over union of two boxes."""
    return float(intersections_over_unions(one.box_px[None], other.box_px)[0])


def intersections_over_unions(
    boxes_px: Float[np.ndarray, "box 4"], box_px: Float[np.ndarray, "4"]
) -> Float[np.ndarray, " box"]:
    """Of each box with another one."""
    shared = _shared_px(boxes_px, box_px)
    areas = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1) + (box_px[2:] - box_px[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-9)


def _shared_px(boxes_px: Float[np.ndarray, "box 4"], box_px: Float[np.ndarray, "4"]) -> Float[np.ndarray, " box"]:
    extent = np.minimum(boxes_px[:, 2:], box_px[2:]) - np.maximum(boxes_px[:, :2], box_px[:2])
    return extent.clip(min=0.0).prod(axis=1)
