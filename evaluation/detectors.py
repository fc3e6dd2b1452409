"""Detectors beside one another: which faces they find, what else they take for one, and how long they need."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.tensors import open_tensors
from data.alignment import between_centers, transform_points
from data.blazeface import BlazeFace
from data.detection import Detection
from data.detector import FaceDetector
from data.mtcnn import MtcnnDetector
from data.search import FaceSearch, plan_search
from evaluation.aflw2000 import YAW_BINS_DEGREES
from evaluation.hard_photographs import LabelledPhotograph, faceless
from evaluation.metrics import intersection_over_union, landmark_box

Detecting = Callable[[np.ndarray], Sequence[Detection]]

GROUP_SIZES_PX = (24.0, 32.0, 48.0, 96.0)
"""Sizes of the faces in groups: square root of the area of the landmarks' box."""

_LEAST_OVERLAP = 0.2
_GROUP_PX = (900, 1200)
_AROUND_FACE = 1.7
_DRAWN = 96


@dataclass(frozen=True)
class SearchedPicture:
    """A picture and the boxes of the faces that should be found in it.

    Attributes:
        group: What kind of picture it is.
        image_srgb: Its pixels.
        boxes_px: Boxes of the faces' 68 points.
        others: Whether there may be more faces than are known, so that what else is found says nothing.
    """

    group: str
    image_srgb: UInt8[np.ndarray, "height width 3"]
    boxes_px: list[Float[np.ndarray, "4"]]
    others: bool = False


@dataclass
class DetectorTally:
    """What one detector did.

    Attributes:
        found: Faces found and faces there, by group.
        false: Found where no face is, by group.
        milliseconds: For each picture of the photographs' own groups.
    """

    found: dict[str, list[int]] = field(default_factory=dict)
    false: dict[str, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)


def detectors() -> dict[str, Detecting]:
    """Those that are compared: what was used before, the first look alone, and both as `infer.py` uses them."""
    search, thorough, both = FaceSearch(BlazeFace()), MtcnnDetector(), FaceDetector()

    def first(image: np.ndarray) -> Sequence[Detection]:
        return search.find(image, plan_search(image.shape[1], image.shape[0], 24.0))

    return {"MTCNN at 1,024 px": thorough.detect, "BlazeFace search": first, "both, as infer.py": both.detect}


def searched_pictures(photographs: Sequence[LabelledPhotograph], drawn: Path | None) -> Iterator[SearchedPicture]:
    """Photographs by yaw, groups made of them and of drawn heads by size, and pictures without a face."""
    for photograph in photographs:
        yaw = min(abs(photograph.yaw_degrees), YAW_BINS_DEGREES[-1][1] - 1e-6)
        low, high = next(limits for limits in YAW_BINS_DEGREES if limits[0] <= yaw < limits[1])
        box = landmark_box(photograph.points_px)
        yield SearchedPicture(f"yaw {low:.0f}-{high:.0f}", photograph.image_srgb, [box], others=True)
    faces = [(one.image_srgb, one.points_px) for one in photographs]
    heads = [] if drawn is None else list(_drawn_heads(drawn))
    for size in GROUP_SIZES_PX:
        yield from _groups(f"group {size:.0f} px", faces, size)
        yield from _groups(f"drawn {size:.0f} px", heads, size)
    for picture in faceless():
        yield SearchedPicture("no face", picture.image_srgb, [])


def _drawn_heads(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    path = min(folder.glob("heads-*.safetensors"), default=None)
    if path is None:
        raise FileNotFoundError(f"{folder}: holds no drawn heads; make them with python -m tools.draw_heads")
    file, _ = open_tensors(path, framework="numpy")
    slices = [file.get_slice(name) for name in ("image", "landmarks68_px")]
    images, points = (values[: min(_DRAWN, values.get_shape()[0])] for values in slices)
    for image, landmarks in zip(images, points, strict=True):
        yield np.ascontiguousarray(image.transpose(1, 2, 0)), landmarks[:, :2].astype(np.float64)


def _groups(group: str, faces: Sequence[tuple[np.ndarray, np.ndarray]], size_px: float) -> Iterator[SearchedPicture]:
    """Pictures with the faces in rows on grey, each cut out with what is around it."""
    side = math.ceil(size_px * _AROUND_FACE)
    rows, columns = _GROUP_PX[0] // (side + 8), _GROUP_PX[1] // (side + 8)
    for start in range(0, len(faces), rows * columns):
        canvas = np.full((*_GROUP_PX, 3), (120, 130, 120), np.uint8)
        boxes = []
        for place, (image, points) in enumerate(faces[start : start + rows * columns]):
            top, left = (value * (side + 8) + 4 for value in divmod(place, columns))
            cut, moved = _cut(image, points, size_px, side)
            canvas[top : top + side, left : left + side] = cut
            boxes.append(landmark_box(moved + (left, top)))
        yield SearchedPicture(group, canvas, boxes)


def _cut(
    image_srgb: np.ndarray, points_px: np.ndarray, size_px: float, side: int
) -> tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "68 2"]]:
    """A face of a given size in the middle of a square, and its points there."""
    box = landmark_box(points_px)
    scale = size_px / math.sqrt(float(np.prod(box[2:] - box[:2])))
    shift = 0.5 * side - scale * 0.5 * (box[:2] + box[2:])
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    if scale < 1.0:
        height, width = image_srgb.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image_srgb = cv2.resize(image_srgb, small, interpolation=cv2.INTER_AREA)
        points_px = points_px * (small[0] / width, small[1] / height)
        matrix[:, :2] = np.eye(2)
    cut = cv2.warpAffine(image_srgb, between_centers(matrix), (side, side), borderValue=(120, 130, 120))
    return cut, transform_points(matrix, points_px)


def compare_detectors(
    pictures: Iterator[SearchedPicture], detectors: Mapping[str, Detecting]
) -> dict[str, DetectorTally]:
    """Show each picture to each detector."""
    tallies = {name: DetectorTally() for name in detectors}
    for picture in pictures:
        for name, detect in detectors.items():
            started = time.perf_counter()
            faces = detect(picture.image_srgb)
            elapsed = 1000.0 * (time.perf_counter() - started)
            tally = tallies[name]
            if picture.others:
                tally.milliseconds.append(elapsed)
            hits = [max((_overlap(face, box) for face in faces), default=0.0) for box in picture.boxes_px]
            counts = tally.found.setdefault(picture.group, [0, 0])
            counts[0] += sum(hit >= _LEAST_OVERLAP for hit in hits)
            counts[1] += len(hits)
            if not picture.others:
                known = [max((_overlap(face, box) for box in picture.boxes_px), default=0.0) for face in faces]
                false = sum(overlap < _LEAST_OVERLAP for overlap in known)
                tally.false[picture.group] = tally.false.get(picture.group, 0) + false
    return tallies


def _overlap(face: Detection, box_px: Float[np.ndarray, "4"]) -> float:
    return intersection_over_union(face.box_px, box_px)


def format_detectors(tallies: Mapping[str, DetectorTally]) -> str:
    """The table as text: one line for each group, one column for each detector."""
    names = list(tallies)
    groups = list(dict.fromkeys(group for tally in tallies.values() for group in tally.found))
    lines = [f"{'found of those there (+ found where no face is)':<48}" + "".join(f"{name:>24}" for name in names)]
    for group in groups:
        cells = []
        for tally in tallies.values():
            found, there = tally.found.get(group, [0, 0])
            false = f" (+{tally.false[group]})" if group in tally.false else ""
            cells.append(f"{found}/{there}{false}")
        lines.append(f"{group:<48}" + "".join(f"{cell:>24}" for cell in cells))
    times = [f"{np.median(tally.milliseconds):.1f}" for tally in tallies.values()]
    lines.append(f"{'median milliseconds for a photograph':<48}" + "".join(f"{cell:>24}" for cell in times))
    return "\n".join(lines)
