"""Finding faces: BlazeFace at several scales first, turned pictures and MTCNN where it finds nothing or doubts."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from data.blazeface import BlazeFace
from data.detection import SIZE_TOLERANCE, Detection, without_duplicates
from data.detection_limits import LEAST_SCORE, MIN_FACE_PX, MIN_SCORE
from data.search import CERTAIN_SCORE, FaceSearch, SearchPlan, plan_search

if TYPE_CHECKING:
    from data.mtcnn import MtcnnDetector

LARGEST_ROLL_DEGREES = 35.0
"""Faces that are turned further in their picture are turned upright for the network, which is trained up to 30."""

_TURNED_FACES_PER_SIDE = 25.0
"""A turned photograph is searched for faces down to this part of its longer side: it lies wrong as a whole."""

_QUARTER_TURNS = (90.0, 180.0, 270.0)
_UPRIGHT_CONFIRMATION = 0.8
"""From here on MTCNN's last network, which knows upright faces only, has seen one."""


class FaceDetector:
    """Finds all faces of a photograph. Deterministic, and safe to be called from several threads."""

    def __init__(self, device: str = "cpu", min_face_px: float = MIN_FACE_PX, min_score: float = MIN_SCORE) -> None:
        """Load BlazeFace; MTCNN is loaded when it is needed.

        Args:
            device: Where MTCNN runs, as torch calls it; BlazeFace runs on the CPU.
            min_face_px: Smallest face that is looked for, in px of the photograph: the square root of its box's area.
            min_score: Least score of a face, `LEAST_SCORE` to 1.

        Raises:
            ValueError: If one of the two cannot be.
        """
        if not min_face_px >= 1.0:
            raise ValueError(f"min_face={min_face_px:g}: expected a size in px, at least 1")
        if not LEAST_SCORE <= min_score <= 1.0:
            raise ValueError(f"min_score={min_score:g}: expected {LEAST_SCORE:g} to 1")
        self._min_face_px = min_face_px
        self._min_score = min_score
        self._search = FaceSearch(BlazeFace())
        self._device = device
        self._loading = Lock()
        self._loaded: MtcnnDetector | None = None

    @property
    def name(self) -> str:
        """What it is, for reports."""
        return f"BlazeFace (short range), then MTCNN of facenet-pytorch {version('facenet-pytorch')}"

    @property
    def _thorough(self) -> "MtcnnDetector":
        """MTCNN, loaded with the first face that BlazeFace is not sure of; several threads may come upon it at once."""
        with self._loading:
            if self._loaded is None:
                from data.mtcnn import MtcnnDetector

                self._loaded = MtcnnDetector(self._device)
            return self._loaded

    def plan(self, width: int, height: int) -> SearchPlan:
        """How a photograph of this size is searched; says how small faces may be."""
        return plan_search(width, height, self._min_face_px)

    def search_note(self, image_srgb: UInt8[np.ndarray, "height width 3"]) -> str:
        """What a report says of a photograph that was too large for its smallest faces; empty for all others."""
        height, width = image_srgb.shape[:2]
        smallest = self.plan(width, height).smallest_face_px
        if smallest <= self._min_face_px:
            return ""
        return f"faces under {math.ceil(smallest)} px were not looked for: {width} x {height} px are too many to search"

    def detect(self, image_srgb: UInt8[np.ndarray, "height width 3"], *, largest_face: bool = False) -> list[Detection]:
        """All faces, the largest first; empty where there is none.

        Args:
            image_srgb: The photograph.
            largest_face: Only the largest; it is quicker, since nobody looks for small ones once it is found.
        """
        height, width = image_srgb.shape[:2]
        plan = self.plan(width, height)
        found: list[Detection] = []
        searches = self._search.from_coarse(image_srgb, plan) if largest_face else [self._search.find(image_srgb, plan)]
        for seen in searches:
            found = self._confirmed(image_srgb, seen)
            if any(face.score >= CERTAIN_SCORE for face in found):
                break
        if not found:
            found = self._confirmed(image_srgb, self._turned_pictures(image_srgb))
        if not found:
            found = [with_roll(face) for face in self._thorough.detect(image_srgb)]
        large_enough = [
            face for face in without_duplicates(found) if face.side_px >= SIZE_TOLERANCE * self._min_face_px
        ]
        kept = sorted((face for face in large_enough if face.score >= self._min_score), key=lambda face: -face.area_px)
        return kept[:1] if largest_face else kept

    def turned_looks(self, image_srgb: UInt8[np.ndarray, "height width 3"], face: Detection) -> list[Detection]:
        """The same face, seen in the photograph turned about it: as its points say, and by quarters from there.

        Returns:
            Those of the four looks that show a face, the surest first.
        """
        turns = [(roll_degrees(face) + quarter + 180.0) % 360.0 - 180.0 for quarter in (0.0, *_QUARTER_TURNS)]
        looks = [self._search.second_looks(image_srgb, [face], turn)[0] for turn in turns]
        return sorted(filter(None, looks), key=lambda look: -look.score)

    def _confirmed(
        self, image_srgb: UInt8[np.ndarray, "height width 3"], faces: Sequence[Detection]
    ) -> list[Detection]:
        """The faces that are certain, or that MTCNN's last network confirms, each with its turn.

        Measured as `data.search` says: of 24 places without a face with a score from 0.45 to 0.62 none has a mean above
        0.45 of that and the confirmation; of 500 faces, half of them small, 3 have one below 0.5.
        """
        leaning = [abs(roll_degrees(face)) > LARGEST_ROLL_DEGREES for face in faces]
        first = [
            self._seen_best(image_srgb, face) if leans else face for face, leans in zip(faces, leaning, strict=True)
        ]
        certain = [face for face in first if face.score >= CERTAIN_SCORE]
        others = [face for face in first if face.score < CERTAIN_SCORE]
        kept = list(certain)
        confirmations = self._thorough.confirm(image_srgb, others) if others else []
        for face, confirmation in zip(others, confirmations, strict=True):
            best = replace(face, score=0.5 * (face.score + float(confirmation)))
            if confirmation < _UPRIGHT_CONFIRMATION:
                # It may be none, or stand otherwise than it seems.
                turned = self._seen_best(image_srgb, face)
                again = float(self._thorough.confirm(image_srgb, [turned])[0])
                best = max(best, replace(turned, score=0.5 * (turned.score + again)), key=lambda one: one.score)
            kept.append(best)
        return [face for face in kept if face.score >= self._min_score]

    def _seen_best(self, image_srgb: UInt8[np.ndarray, "height width 3"], face: Detection) -> Detection:
        """The face as the turned photograph shows it best, with that turn."""
        return with_roll(next(iter(self.turned_looks(image_srgb, face)), face))

    def _turned_pictures(self, image_srgb: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """What is found in the photograph turned by quarters."""
        least_px = max(self._min_face_px, max(image_srgb.shape[:2]) / _TURNED_FACES_PER_SIDE)
        found: list[Detection] = []
        for quarters in (1, 2, 3):
            # numpy turns counter-clockwise: a face that is upright then is turned clockwise in the photograph.
            turned = np.ascontiguousarray(np.rot90(image_srgb, quarters))
            height, width = turned.shape[:2]
            faces = self._search.find(turned, plan_search(width, height, least_px))
            found += [_turned_back(face, quarters, width, height) for face in faces]
        return without_duplicates(found)


def roll_degrees(face: Detection) -> float:
    """Turn of a face in its picture, counter-clockwise, by its points: the way from the mouth to the eyes is up."""
    left_eye, right_eye, _, mouth = face.features_px
    up = 0.5 * (left_eye + right_eye) - mouth
    return math.degrees(math.atan2(-up[0], -up[1]))


def with_roll(face: Detection) -> Detection:
    """The face with the turn that its points say, where that is more than the network is trained for."""
    roll = roll_degrees(face)
    return replace(face, roll_degrees=roll if abs(roll) > LARGEST_ROLL_DEGREES else 0.0)


def _turned_back(face: Detection, quarters: int, width: int, height: int) -> Detection:
    """A face found in a picture of width x height that was turned counter-clockwise, in the picture before."""
    points = np.concatenate((face.points_px, face.box_px.reshape(2, 2)))
    for _ in range(quarters):
        # Back, clockwise: x right, y down.
        points = np.stack((height - points[:, 1], points[:, 0]), axis=1)
        width, height = height, width
    corners = points[-2:]
    box = np.concatenate((corners.min(axis=0), corners.max(axis=0))).astype(np.float32)
    return replace(face, box_px=box, points_px=points[:-2].astype(np.float32), roll_degrees=-90.0 * quarters)
