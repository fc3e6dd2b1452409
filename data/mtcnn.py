"""The thorough way to find faces: facenet-pytorch's MTCNN, asked again in other views where it sees none.

Its weights are in its wheel. Measured on 200 pictures of AFLW2000-3D and on pictures without faces: the first look
finds 194 with a score of at least 0.8. Mirrored, turned and padded views bring 4 more. A single view may also see faces
in clouds and print, with up to 0.82, so what only one view saw must be nearly certain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.utils.detect_face import detect_face
from jaxtyping import Float, UInt8

from data.alignment import between_centers, transform_points, warp_image
from data.detection import SAME_FACE, Detection, overlap, without_duplicates

SUFFICIENT_SCORE = 0.8
"""From here on a face of the first look is one."""

CERTAIN_SCORE = 0.9
"""From here on a face that only one of the other views shows is one."""

AGREED_SCORE = 1.5
"""Least sum of the scores of a face that several views show."""

_LARGEST_SIDE_PX = 1024
_SMALLEST_SIDE_PX = 256
_MOST_ENLARGED = 4.0
_SMALLEST_FACE_PX = 40
# Low, so that hidden and turned faces come through; what they let through besides is sorted out above.
_THRESHOLDS = (0.4, 0.5, 0.3)
_PYRAMID_FACTOR = 0.709
_PADDING = 0.4
_LAST_NETWORK_PX = 48
_OVER_BLAZEFACE = 1.04
"""Side of an MTCNN box over that of BlazeFace's, and how far its centre lies above, in sides of BlazeFace's."""
_RISE_OVER_BLAZEFACE = 0.10
_MIRRORED_POINTS = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class _View:
    """A way to look at a photograph: a similarity and the size of what is seen."""

    matrix: Float[np.ndarray, "2 3"]
    size: tuple[int, int]
    mirrored: bool


class MtcnnDetector:
    """Finds the faces of a photograph, at 1,024 px. Deterministic, and safe to be called from several threads."""

    def __init__(self, device: str = "cpu") -> None:
        """Load the network.

        Args:
            device: Where it runs, as torch calls it.
        """
        self._device = torch.device(device)
        self._network = MTCNN(
            keep_all=True, min_face_size=_SMALLEST_FACE_PX, thresholds=list(_THRESHOLDS), device=self._device
        ).eval()

    @property
    def name(self) -> str:
        """What it is, for reports."""
        return f"MTCNN of facenet-pytorch {version('facenet-pytorch')}"

    def detect(self, image_srgb: UInt8[np.ndarray, "height width 3"]) -> list[Detection]:
        """All faces, the largest first; empty where there is none."""
        height, width = image_srgb.shape[:2]
        first = self._look(image_srgb, _straight_view(width, height))
        found = [face for face in first if face.score >= SUFFICIENT_SCORE]
        if not found:
            others = [self._look(image_srgb, view) for view in _other_views(width, height)]
            found = agreed_faces([first, *others])
        return sorted(without_duplicates(found), key=lambda face: -face.area_px)

    def confirm(
        self, image_srgb: UInt8[np.ndarray, "height width 3"], faces: Sequence[Detection]
    ) -> Float[np.ndarray, " face"]:
        """What the last of the three networks says of faces that BlazeFace saw: how sure it is of each, in [0, 1].

        Args:
            image_srgb: The photograph.
            faces: With BlazeFace's boxes, which are lower and smaller than MTCNN's own.
        """
        if not faces:
            return np.zeros(0)
        crops = np.stack([warp_image(image_srgb, _confirmed_part(face), _LAST_NETWORK_PX) for face in faces])
        with torch.inference_mode():
            pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
            return self._network.onet((pixels.float() - 127.5) / 128.0)[2][:, 1].cpu().numpy().astype(np.float64)

    def _look(self, image_srgb: UInt8[np.ndarray, "height width 3"], view: _View) -> list[Detection]:
        """Faces of one view, in the photograph's px."""
        seen = _seen(image_srgb, view)
        if min(seen.shape[:2]) < _SMALLEST_FACE_PX:
            # Its pyramid would have no level, which the network's code does not expect.
            return []
        with torch.inference_mode():
            boxes, points = detect_face(
                seen,
                self._network.min_face_size,
                self._network.pnet,
                self._network.rnet,
                self._network.onet,
                self._network.thresholds,
                _PYRAMID_FACTOR,
                self._device,
            )
        to_photograph = cv2.invertAffineTransform(view.matrix)
        scale = math.sqrt(abs(np.linalg.det(to_photograph[:, :2])))
        faces = zip(np.asarray(boxes[0], np.float64), np.asarray(points[0], np.float64), strict=True)
        return [_back(box, five, to_photograph, scale, view.mirrored) for box, five in faces]


def _confirmed_part(face: Detection) -> Float[np.ndarray, "2 3"]:
    """From the photograph to what the last network is shown of a face that BlazeFace saw, turned upright."""
    scale, angle = _LAST_NETWORK_PX / (_OVER_BLAZEFACE * face.side_px), math.radians(face.roll_degrees)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.array([0.5, 0.5 + _RISE_OVER_BLAZEFACE / _OVER_BLAZEFACE]) * _LAST_NETWORK_PX
    return np.concatenate((linear, (middle - linear @ face.center_px)[:, None]), axis=1)


def agreed_faces(views: Sequence[Sequence[Detection]]) -> list[Detection]:
    """Faces that several views agree on, or one is certain of; of each, the answer with the highest score.

    Args:
        views: What each view showed, in the photograph's px.
    """
    remaining = sorted(
        ((face, number) for number, view in enumerate(views) for face in view), key=lambda f: -f[0].score
    )
    found: list[Detection] = []
    while remaining:
        best = remaining[0][0]
        same = [entry for entry in remaining if overlap(entry[0], best) > SAME_FACE]
        # An empty box overlaps nothing, not even itself.
        remaining = [entry for entry in remaining[1:] if overlap(entry[0], best) <= SAME_FACE]
        # Each view votes once, with its best answer.
        votes: dict[int, float] = {}
        for face, number in same:
            votes[number] = max(votes.get(number, 0.0), face.score)
        if best.score >= CERTAIN_SCORE or (len(votes) > 1 and sum(votes.values()) >= AGREED_SCORE):
            found.append(best)
    return found


def _straight_view(width: int, height: int, padding: float = 0.0) -> _View:
    """The photograph at a size at which detection is quick and small pictures are not lost."""
    scale = _working_scale(width, height)
    padded = 1.0 + 2.0 * padding
    size = (max(1, round(width * scale * padded)), max(1, round(height * scale * padded)))
    shift = (padding * width * scale, padding * height * scale)
    return _View(np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]]), size, mirrored=False)


def _other_views(width: int, height: int) -> list[_View]:
    """Mirrored, turned by 30 degrees both ways, and with room around it for faces that fill the picture."""
    scale = _working_scale(width, height)
    straight = _straight_view(width, height)
    mirror = np.array([[-scale, 0.0, straight.size[0]], [0.0, scale, 0.0]])
    turned = [_turned_view(width, height, scale, math.radians(degrees)) for degrees in (30.0, -30.0)]
    return [_View(mirror, straight.size, mirrored=True), *turned, _straight_view(width, height, _PADDING)]


def _turned_view(width: int, height: int, scale: float, angle: float) -> _View:
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    extent = np.abs(linear) @ (width, height)
    shift = 0.5 * extent - linear @ (0.5 * width, 0.5 * height)
    return _View(np.concatenate((linear, shift[:, None]), axis=1), (round(extent[0]), round(extent[1])), mirrored=False)


def _working_scale(width: int, height: int) -> float:
    longest = max(width, height)
    return max(min(1.0, _LARGEST_SIDE_PX / longest), min(_MOST_ENLARGED, _SMALLEST_SIDE_PX / longest))


def _seen(
    image_srgb: UInt8[np.ndarray, "height width 3"], view: _View
) -> UInt8[np.ndarray, "seen_height seen_width 3"]:
    """The photograph through a view; black beyond its border."""
    scale = math.sqrt(abs(np.linalg.det(view.matrix[:, :2])))
    matrix = view.matrix
    if scale < 1.0:
        height, width = image_srgb.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        image_srgb = cv2.resize(image_srgb, small, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, :2] = matrix[:, :2] @ np.diag((width / small[0], height / small[1]))
    if np.allclose(matrix, np.eye(2, 3)):
        return image_srgb
    return cv2.warpAffine(image_srgb, between_centers(matrix), view.size, flags=cv2.INTER_LINEAR)


def _back(
    box: Float[np.ndarray, "5"],
    five: Float[np.ndarray, "5 2"],
    to_photograph: Float[np.ndarray, "2 3"],
    scale: float,
    mirrored: bool,
) -> Detection:
    """A face from a view's px to the photograph's; a turned box becomes an upright one about the same centre."""
    center = transform_points(to_photograph, 0.5 * (box[:2] + box[2:4]))
    half = 0.5 * scale * (box[2:4] - box[:2])
    points = transform_points(to_photograph, five)
    if mirrored:
        points = points[list(_MIRRORED_POINTS)]
    return Detection(
        box_px=np.concatenate((center - half, center + half)).astype(np.float32),
        points_px=points.astype(np.float32),
        score=float(np.clip(box[4], 0.0, 1.0)),
    )
