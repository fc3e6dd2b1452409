"""The standard table of AFLW2000-3D, through the same steps as `infer.py`, and with the true boxes beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from data.alignment import window_from_landmarks
from data.detection import Detection
from data.detector import FaceDetector
from data.image_io import read_photograph
from evaluation.aflw2000_data import TrueFace, pose_from_rotation
from evaluation.metrics import intersection_over_union, landmark_box, nme_percent
from inference.checked import CheckedFaces
from inference.faces import FaceReconstructor, FaceRequest

YAW_BINS_DEGREES = ((0.0, 30.0), (30.0, 60.0), (60.0, 90.0))
MISSED_NME_PERCENT = 100.0
"""What a missed face counts in the row that counts them: as far off as the face is large."""

_LEAST_OVERLAP = 0.2
_BATCH = 16


@dataclass(frozen=True)
class FaceError:
    """One picture's result.

    Attributes:
        name: The picture.
        absolute_yaw_degrees: Its bin.
        nme_percent: Landmark error, None where the face was missed.
        pose_error_degrees: Absolute error of yaw, pitch and roll, None where the face was missed.
    """

    name: str
    absolute_yaw_degrees: float
    nme_percent: float | None
    pose_error_degrees: Float[np.ndarray, "3"] | None


def evaluate_faces(
    faces: Sequence[TrueFace], reconstructor: FaceReconstructor | CheckedFaces, detector: FaceDetector | None
) -> list[FaceError]:
    """Reconstruct every picture and compare.

    Args:
        faces: Ground truth.
        reconstructor: As in `infer.py`.
        detector: As in `infer.py`; of several faces found, the one that overlaps the true box best counts. None
            takes the window of the true landmarks, as published results do.

    Returns:
        One result for each picture.
    """
    errors: list[FaceError] = []
    for start in range(0, len(faces), _BATCH):
        part = faces[start : start + _BATCH]
        requests = [_request(face, detector) for face in part]
        found = reconstructor.reconstruct([request for request in requests if request is not None])
        answers = iter(found)
        for face, request in zip(part, requests, strict=True):
            yaw = abs(float(face.pose_degrees[0]))
            if request is None:
                errors.append(FaceError(face.image_path.name, yaw, None, None))
                continue
            answer = next(answers)
            nme = nme_percent(answer.landmarks68_image[0, :, :2].double().numpy(), face.landmarks68_px)
            pose = pose_from_rotation(answer.parameters.rotation[0].double().numpy())
            turn = np.abs((pose - face.pose_degrees + 180.0) % 360.0 - 180.0)
            errors.append(FaceError(face.image_path.name, yaw, nme, turn))
    return errors


def _request(face: TrueFace, detector: FaceDetector | None) -> FaceRequest | None:
    image_srgb = read_photograph(face.image_path)
    if detector is None:
        return FaceRequest.in_photograph(image_srgb, window_from_landmarks(face.landmarks68_px))
    detection = best_detection(detector, image_srgb, landmark_box(face.landmarks68_px))
    return None if detection is None else FaceRequest.of_detection(image_srgb, detection)


def best_detection(
    detector: FaceDetector, image_srgb: UInt8[np.ndarray, "height width 3"], box_px: Float[np.ndarray, "4"]
) -> Detection | None:
    """The detection that overlaps a true box best, None if none does."""
    overlaps = [(intersection_over_union(found.box_px, box_px), found) for found in detector.detect(image_srgb)]
    overlap, best = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return best if overlap >= _LEAST_OVERLAP else None


@dataclass(frozen=True)
class TableRow:
    """A line of the table: NME in percent by |yaw|, and the mean of the three bins."""

    bins: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the bins, as published: each counts the same, however many pictures it holds."""
        return float(np.mean(self.bins))


def summarize(errors: Sequence[FaceError], *, count_missed: bool) -> TableRow:
    """Average by bin.

    Args:
        errors: Results of all pictures.
        count_missed: Whether a missed face enters with `MISSED_NME_PERCENT` or not at all.
    """
    bins = []
    for low, high in YAW_BINS_DEGREES:
        values = [
            MISSED_NME_PERCENT if error.nme_percent is None else error.nme_percent
            for error in in_bin(errors, low, high)
            if count_missed or error.nme_percent is not None
        ]
        bins.append(float(np.mean(values)) if values else float("nan"))
    return TableRow(tuple(bins))


def in_bin(errors: Sequence[FaceError], low: float, high: float) -> list[FaceError]:
    """Pictures with low <= |yaw| < high; the last bin holds its upper end and what lies beyond."""
    last = high == YAW_BINS_DEGREES[-1][1]
    return [e for e in errors if low <= e.absolute_yaw_degrees and (last or e.absolute_yaw_degrees < high)]


def format_table(own: Sequence[FaceError], true_boxes: Sequence[FaceError]) -> str:
    """The table as text."""
    header = f"{'68-point NME, % of box size':<42}" + "".join(f"{f'{a:.0f}-{b:.0f}':>8}" for a, b in YAW_BINS_DEGREES)
    missed = [error.name for error in own if error.nme_percent is None]
    counts = "".join(f"{len(in_bin(own, low, high)):>8}" for low, high in YAW_BINS_DEGREES)
    lines = [
        header + f"{'mean':>8}",
        f"{'pictures':<42}{counts}{len(own):>8}",
        _line("own detection, missed faces left out", summarize(own, count_missed=False)),
        _line(f"own detection, a missed face is {MISSED_NME_PERCENT:.0f} %", summarize(own, count_missed=True)),
        _line("true boxes, one look, as published ones", summarize(true_boxes, count_missed=False)),
        "",
        f"missed {len(missed)} of {len(own)} faces ({100.0 * len(missed) / max(len(own), 1):.1f} %)"
        + (f": {', '.join(missed)}" if missed else ""),
        f"mean absolute error of yaw, pitch, roll with own detection: {_pose_text(own)} degrees",
        "Bins by the annotated |yaw|. The mean is that of the three bins; without a figure in each there is none (-).",
    ]
    return "\n".join(lines)


def _line(title: str, row: TableRow) -> str:
    return f"{title:<42}" + "".join(
        f"{'-' if math.isnan(value) else f'{value:.2f}':>8}" for value in (*row.bins, row.mean)
    )


def _pose_text(errors: Sequence[FaceError]) -> str:
    found = [error.pose_error_degrees for error in errors if error.pose_error_degrees is not None]
    return ", ".join(f"{value:.2f}" for value in np.mean(found, axis=0)) if found else "none found"
