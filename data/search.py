"""Searching a photograph for faces of every size: BlazeFace at several scales, in tiles, and a second look in doubt.

The network finds faces of 16 to some 110 px at its own scale, so scales a factor of 4 apart see all sizes; a face that
is seen at two scales or in two tiles counts once. What the first look is not sure of is cut out, enlarged or reduced to
the size the network knows best, and looked at again with its mirror image.

Measured by pasting 100 faces of the AFLW2000 sample into pictures without faces: of those of 24 px the first look
proposes 97 at 0.3, and the mean of the second looks is above 0.6 for 95, but also for 5 places in 16 pictures of
textures, stars and print. So what is not sure after two looks is for another network to confirm.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data.alignment import transform_points, warp_image
from data.blazeface import TRAINED_PX, BlazeFace
from data.detection import SIZE_TOLERANCE, Detection, overlap, without_duplicates
from data.detection_limits import LEAST_SCORE

CERTAIN_SCORE = 0.9
"""From here on a face needs no confirmation, and where only the largest is wanted none is looked for any more: larger
ones would have been seen at the scales before."""

SURE_SCORE = 0.75
"""From here on a second look says nothing new. The visor of a helmet with its reflections can have 0.85."""

UNSURE_SCORE = 0.45
"""Least mean score of the two second looks at a face that others may confirm."""

MOST_SEARCHED_PX = 24_000_000
"""Most pixels that are looked at in one photograph, all scales together: some 3 seconds of a core. In larger ones the
smallest faces are given up."""

_SEEN_PX = 16.0
"""Size of the smallest face that the network is asked for."""
_FINER = 1.5
_SMALL = 2.0
"""Where a face under so many times the smallest size is seen, the photograph is looked at so many times finer: of the
smallest faces the network misses three in ten, and one in thirty there; but it takes twice as long, and a portrait has
no such faces."""
_WHOLE_PX = 96.0
"""Longest side of the whole picture at the coarsest scale: even a face that fills it is then of a size that is seen."""
_SCALE_STEP = 4.0
_MOST_ENLARGED = 4.0
_TILE_PX = 512
_OVERLAP_PX = 96
_SECOND_LOOK_PX = 48.0
_LEAST_OVERLAP = 0.3
_LOOKS_AT_ONCE = 32
_MIRRORED_POINTS = (1, 0, 2, 3, 5, 4)


@dataclass(frozen=True)
class SearchPlan:
    """How a photograph is searched.

    Attributes:
        scales: At which it is looked at, the coarsest first.
        smallest_face_px: Smallest face that is looked for: what was asked for, or more where that would cost too much.
        finer_scale: At which a photograph is looked at besides where small faces were seen; None where that would cost
            too much.
    """

    scales: tuple[float, ...]
    smallest_face_px: float
    finer_scale: float | None = None


def plan_search(width: int, height: int, min_face_px: float) -> SearchPlan:
    """The scales at which a photograph of this size must be looked at.

    Args:
        width: Of the photograph, in px.
        height: Of the photograph.
        min_face_px: Smallest face that is wanted, in px of the photograph.
    """
    coarsest = min(_WHOLE_PX / max(width, height), _MOST_ENLARGED)
    finest = max(_SEEN_PX / min_face_px, coarsest)
    # The coarser scales together are a fifteenth of the finest.
    affordable = math.sqrt(MOST_SEARCHED_PX / (width * height * (1.0 + 1.0 / (_SCALE_STEP**2 - 1.0))))
    finest = max(min(finest, affordable), coarsest)
    spent = width * height * finest**2 * (1.0 + 1.0 / (_SCALE_STEP**2 - 1.0) + _FINER**2)
    finer = _FINER * finest if spent <= MOST_SEARCHED_PX else None
    steps = math.ceil(math.log(finest / coarsest) / math.log(_SCALE_STEP) - 1e-9)
    scales = tuple(coarsest * (finest / coarsest) ** (step / max(steps, 1)) for step in range(steps + 1))
    return SearchPlan(scales, max(min_face_px, _SEEN_PX / finest), finer)


class FaceSearch:
    """Finds the faces of photographs with BlazeFace. Safe to be called from several threads."""

    def __init__(self, network: BlazeFace) -> None:
        """Take the network."""
        self._network = network

    def find(self, image_srgb: UInt8[np.ndarray, "height width 3"], plan: SearchPlan) -> list[Detection]:
        """What looks like a face, each once; what is not certain (`CERTAIN_SCORE`) is to be confirmed.

        Args:
            image_srgb: The photograph.
            plan: How it is searched.
        """
        proposals = [face for scale in plan.scales for face in self._proposals(image_srgb, scale)]
        if plan.finer_scale is not None and _shows_small_faces(proposals, plan):
            proposals += self._proposals(image_srgb, plan.finer_scale)
        return self._looked_at_again(image_srgb, proposals, plan)

    def from_coarse(
        self, image_srgb: UInt8[np.ndarray, "height width 3"], plan: SearchPlan
    ) -> Iterator[list[Detection]]:
        """What `find` finds with the coarsest scale alone, with the two coarsest and so on.

        For whoever wants large faces and stops as soon as there is one: in a portrait the coarsest scale costs a tenth.
        """
        proposals: list[Detection] = []
        for scale in plan.scales:
            proposals += self._proposals(image_srgb, scale)
            yield self._looked_at_again(image_srgb, proposals, plan)

    def _looked_at_again(
        self, image_srgb: UInt8[np.ndarray, "height width 3"], proposals: Sequence[Detection], plan: SearchPlan
    ) -> list[Detection]:
        """Of proposals those that second looks do not speak against, each once."""
        large_enough = [face for face in proposals if face.side_px >= SIZE_TOLERANCE * plan.smallest_face_px]
        candidates = without_duplicates(large_enough)
        sure = [face for face in candidates if face.score >= SURE_SCORE]
        looked = self.second_looks(image_srgb, [face for face in candidates if face.score < SURE_SCORE])
        unsure = [face for face in looked if face is not None and face.score >= UNSURE_SCORE]
        return without_duplicates(sure + unsure)

    def _proposals(self, image_srgb: UInt8[np.ndarray, "height width 3"], scale: float) -> list[Detection]:
        """What the network sees at a scale, in the photograph's px."""
        height, width = image_srgb.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrunk = scale < 1.0
        interpolation = cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
        seen = image_srgb if size == (width, height) else cv2.resize(image_srgb, size, interpolation=interpolation)
        enlarge = np.array([width / size[0], height / size[1]])
        faces = []
        for left, top in _tiles(*size):
            tile = seen[top : top + _TILE_PX, left : left + _TILE_PX]
            for face in self._network.look(_at_least(tile, TRAINED_PX), LEAST_SCORE):
                box = (face.box_px.reshape(2, 2) + (left, top)) * enlarge
                points = (face.points_px + (left, top)) * enlarge
                faces.append(Detection(box.ravel().astype(np.float32), points.astype(np.float32), face.score))
        return faces

    def second_looks(
        self, image_srgb: UInt8[np.ndarray, "height width 3"], faces: Sequence[Detection], turn_degrees: float = 0.0
    ) -> list[Detection | None]:
        """Look at each face again, in the size that the network knows best, and at its mirror image.

        Args:
            image_srgb: The photograph.
            faces: With boxes of positive area.
            turn_degrees: How far the picture is turned clockwise about each face: a face that is turned so far
                counter-clockwise stands upright in it.

        Returns:
            For each face what both looks say in the mean, a look that shows nothing counting as a score of 0; None
            where neither shows a face.
        """
        answers: list[Detection | None] = []
        for start in range(0, len(faces), _LOOKS_AT_ONCE):
            part = faces[start : start + _LOOKS_AT_ONCE]
            matrices = [_about(face, turn_degrees) for face in part]
            cut = np.stack([warp_image(image_srgb, matrix, TRAINED_PX) for matrix in matrices])
            straight = [_middle_face(faces) for faces in self._network.look_at_all(cut, LEAST_SCORE)]
            # One look in two would not be enough, so that the mirror image is asked about only where there is a first.
            again = [index for index, face in enumerate(straight) if face]
            mirrored = dict.fromkeys(again)
            if again:
                pictures = np.ascontiguousarray(cut[again][:, :, ::-1])
                seen = self._network.look_at_all(pictures, LEAST_SCORE)
                mirrored = {index: _middle_face(faces) for index, faces in zip(again, seen, strict=True)}
            for index, (face, matrix) in enumerate(zip(straight, matrices, strict=True)):
                other = mirrored.get(index)
                both = [look for look in (face, other and _unmirrored(other)) if look]
                answers.append(_mean_face(both, matrix, turn_degrees) if both else None)
        return answers


def _shows_small_faces(proposals: Sequence[Detection], plan: SearchPlan) -> bool:
    limit_px = _SMALL * plan.smallest_face_px
    return any(face.score >= UNSURE_SCORE and face.side_px < limit_px for face in proposals)


def _tiles(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Left and top of tiles that overlap by the largest face that no coarser scale shows, and what is around it."""
    for top in _starts(height):
        for left in _starts(width):
            yield left, top


def _starts(side: int) -> list[int]:
    if side <= _TILE_PX:
        return [0]
    count = math.ceil((side - _OVERLAP_PX) / (_TILE_PX - _OVERLAP_PX))
    return [round(index * (side - _TILE_PX) / (count - 1)) for index in range(count)]


def _at_least(image_srgb: UInt8[np.ndarray, "height width 3"], side: int) -> UInt8[np.ndarray, "larger wider 3"]:
    """The picture with grey at its right and bottom where it is smaller than the network was trained on."""
    height, width = image_srgb.shape[:2]
    if min(height, width) >= side:
        return image_srgb
    padded = np.full((max(height, side), max(width, side), 3), 128, np.uint8)
    padded[:height, :width] = image_srgb
    return padded


def _about(face: Detection, turn_degrees: float) -> Float[np.ndarray, "2 3"]:
    """From the photograph to a square of `TRAINED_PX` about a face, turned clockwise."""
    scale, angle = _SECOND_LOOK_PX / face.side_px, math.radians(turn_degrees)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.concatenate((linear, (0.5 * TRAINED_PX - linear @ face.center_px)[:, None]), axis=1)


def _middle_face(faces: Sequence[Detection]) -> Detection | None:
    """Of what a second look shows, the surest face that lies where it was cut out."""
    low, high = 0.5 * (TRAINED_PX - _SECOND_LOOK_PX), 0.5 * (TRAINED_PX + _SECOND_LOOK_PX)
    expected = Detection(np.array([low, low, high, high], np.float32), np.zeros((0, 2), np.float32), 1.0)
    there = [face for face in faces if overlap(face, expected) > _LEAST_OVERLAP]
    return max(there, key=lambda face: face.score, default=None)


def _unmirrored(face: Detection) -> Detection:
    left, top, right, bottom = face.box_px
    box = np.array([TRAINED_PX - right, top, TRAINED_PX - left, bottom], np.float32)
    points = (face.points_px * (-1.0, 1.0) + (TRAINED_PX, 0.0))[list(_MIRRORED_POINTS)]
    return replace(face, box_px=box, points_px=points.astype(np.float32))


def _mean_face(looks: Sequence[Detection], matrix: Float[np.ndarray, "2 3"], turn_degrees: float) -> Detection:
    """The mean of one or two looks, back in the photograph; its box is upright about the same centre."""
    back = cv2.invertAffineTransform(matrix)
    weights = [face.score for face in looks]
    points = np.average([face.points_px for face in looks], axis=0, weights=weights)
    box = np.average([face.box_px for face in looks], axis=0, weights=weights)
    half = 0.5 * (box[2:] - box[:2]) * math.sqrt(abs(np.linalg.det(back[:, :2])))
    center = transform_points(back, 0.5 * (box[:2] + box[2:]))
    return Detection(
        box_px=np.concatenate((center - half, center + half)).astype(np.float32),
        points_px=transform_points(back, points).astype(np.float32),
        score=sum(weights) / 2.0,
        roll_degrees=turn_degrees,
    )
