"""Photographs made hard: faces covered, small, turned, and pictures without one. What a confidence must tell apart."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import skimage.data
from jaxtyping import Float, UInt8

from data.alignment import between_centers, transform_points
from data.image_io import read_photograph
from data.shards import decode_sample, list_shards, read_shard
from evaluation.aflw2000_data import read_aflw2000
from evaluation.metrics import landmark_box

Kind = Literal["whole", "covered", "small", "turned", "no face"]
KINDS: tuple[Kind, ...] = ("whole", "covered", "small", "turned", "no face")

TEXTURES = ("coffee", "rocket", "coins", "hubble_deep_field", "retina", "clock", "brick", "gravel")
"""scikit-image's pictures without a face that are measured with; `CALIBRATION_TEXTURES` are never."""
CALIBRATION_TEXTURES = ("moon", "grass", "immunohistochemistry", "colorwheel", "text", "page", "horse")

_COVERED = (0.5, 0.8)
_SMALL_PX = (8.0, 20.0)
_TURNED_DEGREES = (45.0, 180.0)


@dataclass(frozen=True)
class LabelledPhotograph:
    """A photograph whose landmarks are known.

    Attributes:
        name: What to call it.
        image_srgb: Its pixels.
        points_px: iBUG's 68 points.
        yaw_degrees: Turn of the head.
    """

    name: str
    image_srgb: UInt8[np.ndarray, "height width 3"]
    points_px: Float[np.ndarray, "68 2"]
    yaw_degrees: float


@dataclass(frozen=True)
class HardPhotograph:
    """A photograph made hard.

    Attributes:
        kind: How.
        image_srgb: Its pixels.
        points_px: iBUG's 68 points; None where there is no face.
    """

    kind: Kind
    image_srgb: UInt8[np.ndarray, "height width 3"]
    points_px: Float[np.ndarray, "68 2"] | None


def read_labelled(folder: Path, every: int = 1) -> Iterator[LabelledPhotograph]:
    """Photographs of AFLW2000-3D, or of a folder of shards, one in `every`.

    Raises:
        FileNotFoundError: If the folder holds neither.
    """
    if not any(folder.glob("*.tar")):
        for face in read_aflw2000(folder)[::every]:
            image = read_photograph(face.image_path)
            yield LabelledPhotograph(face.image_path.name, image, face.landmarks68_px, float(face.pose_degrees[0]))
        return
    for shard in list_shards(folder):
        for key, members in list(read_shard(shard).items())[::every]:
            sample = decode_sample({"__key__": key, **members})
            if sample.landmarks68_px is not None and sample.landmarks68_weight > 0.0:
                points = sample.landmarks68_px[:, :2].astype(np.float64)
                yield LabelledPhotograph(sample.name, sample.patch_srgb, points, sample.yaw_degrees)


def harden(photograph: LabelledPhotograph, generator: np.random.Generator) -> Iterator[HardPhotograph]:
    """A photograph as it is, with half of its face or more covered, with a tiny face, and turned."""
    yield HardPhotograph("whole", photograph.image_srgb, photograph.points_px)
    yield HardPhotograph("covered", _covered(photograph, generator), photograph.points_px)
    size = math.sqrt(float(np.prod(photograph.points_px.max(axis=0) - photograph.points_px.min(axis=0))))
    yield _small(photograph, generator.uniform(*_SMALL_PX) / size)
    yield _turned(photograph, generator.choice((-1.0, 1.0)) * generator.uniform(*_TURNED_DEGREES))


def faceless(names: Sequence[str] = TEXTURES) -> Iterator[HardPhotograph]:
    """Pictures without a face."""
    for name in names:
        image = np.asarray(getattr(skimage.data, name)())
        image = image.astype(np.uint8) * 255 if image.dtype == bool else image
        image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]
        yield HardPhotograph("no face", np.ascontiguousarray(image.astype(np.uint8)), None)


def _covered(photograph: LabelledPhotograph, generator: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """A cut of the photograph itself, taken elsewhere and mirrored, lies over one side of the face's box."""
    image = photograph.image_srgb.copy()
    height, width = image.shape[:2]
    left, top, right, bottom = landmark_box(photograph.points_px)
    share = generator.uniform(*_COVERED)
    side = generator.integers(4)
    if side < 2:
        low, high = (left, left + share * (right - left)) if side == 0 else (right - share * (right - left), right)
        area = (low, top - 0.2 * (bottom - top), high, bottom)
    else:
        low, high = (top, top + share * (bottom - top)) if side == 2 else (bottom - share * (bottom - top), bottom)
        area = (left, low, right, high)
    x0, y0, x1, y1 = (int(np.clip(value, 0, limit)) for value, limit in zip(area, (width, height) * 2, strict=True))
    if x1 <= x0 or y1 <= y0:
        return image
    source_x, source_y = generator.integers(0, width - (x1 - x0) + 1), generator.integers(0, height - (y1 - y0) + 1)
    cut = photograph.image_srgb[source_y : source_y + y1 - y0, source_x : source_x + x1 - x0]
    # Upside down and without what makes it a face, should it be one.
    image[y0:y1, x0:x1] = cv2.GaussianBlur(cut[::-1], (0, 0), max(2.0, 0.08 * (right - left)))
    return image


def _small(photograph: LabelledPhotograph, scale: float) -> HardPhotograph:
    """The photograph reduced and enlarged again: what a face of a few pixels looks like."""
    height, width = photograph.image_srgb.shape[:2]
    size = (max(2, round(scale * width)), max(2, round(scale * height)))
    small = cv2.resize(photograph.image_srgb, size, interpolation=cv2.INTER_AREA)
    again = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return HardPhotograph("small", again, photograph.points_px)


def _turned(photograph: LabelledPhotograph, degrees: float) -> HardPhotograph:
    """The photograph turned in its plane, with grey where it ends."""
    height, width = photograph.image_srgb.shape[:2]
    angle = math.radians(degrees)
    linear = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    extent = np.ceil(np.abs(linear) @ (width, height)).astype(int)
    shift = 0.5 * extent - linear @ (0.5 * width, 0.5 * height)
    matrix = np.concatenate((linear, shift[:, None]), axis=1)
    size = (int(extent[0]), int(extent[1]))
    image = cv2.warpAffine(photograph.image_srgb, between_centers(matrix), size, borderValue=(90, 90, 90))
    return HardPhotograph("turned", image, transform_points(matrix, photograph.points_px))
