"""Where the landmark fit's points come from: the network, a detector the user has installed, or files.

Detectors are optional and imported only when one is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from data.alignment import CropWindow, crop_image, transform_points
from data.detection import Detection
from inference.face_crop import Landmarks
from inference.landmark_files import find_landmark_file, read_landmark_file
from inference.refine_request import NETWORK_LANDMARKS
from inference.refining import FacePhotograph

# iBUG's 68 among MediaPipe's 478.
_MEDIAPIPE = np.array(
    [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389]
    + [71, 63, 105, 66, 107, 336, 296, 334, 293, 301]
    + [168, 197, 5, 4, 75, 97, 2, 326, 305]
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    + [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]
)
_JAW_COUNT, _CHIN = 17, 8
_MEDIAPIPE_JAW_WEIGHT = 0.1
"""Its oval runs inside iBUG's jaw line, by 7 % of the face's size and more under yaw; the chin is the same point."""

_WINDOW_OVER_BOX = 1.6
_WINDOW_PX = 512
_LEAST_OVERLAP = 0.1

Finder = Callable[[FacePhotograph], Landmarks]


def build_landmark_source(name: str) -> Finder | None:
    """What finds the landmarks of a face; None where they are the network's.

    Args:
        name: `network`, `mediapipe`, `face-alignment`, or a file or folder of landmarks.

    Raises:
        ValueError: If the detector is not installed or too new; the message says how to get it.
        FileNotFoundError: If there is no such file or folder.
    """
    if name == NETWORK_LANDMARKS:
        return None
    if name == "mediapipe":
        return MediaPipeLandmarks()
    if name == "face-alignment":
        return FaceAlignmentLandmarks()
    return FileLandmarks(Path(name))


class MediaPipeLandmarks:
    """MediaPipe's face mesh at iBUG's places; its face oval is not iBUG's jaw, which therefore hardly counts."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            ValueError: If it is not installed, or is one without `solutions`.
        """
        advice = 'pip install "mediapipe<0.10.30"'
        mediapipe = _imported("mediapipe", advice)
        try:
            mesh = mediapipe.solutions.face_mesh.FaceMesh
        except AttributeError as error:
            raise ValueError(f"--landmarks mediapipe: this version has no face mesh; {advice}") from error
        self._mesh = mesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3)

    def __call__(self, photograph: FacePhotograph) -> Landmarks:
        """Look at the face of a photograph.

        Raises:
            ValueError: If MediaPipe sees none.
        """
        window, cut = _cut(photograph)
        found = self._mesh.process(cut).multi_face_landmarks
        if not found:
            raise ValueError("MediaPipe finds no face here")
        mesh = np.array([(point.x, point.y) for point in found[0].landmark])[_MEDIAPIPE] * cut.shape[1::-1]
        weight = np.ones(68)
        weight[:_JAW_COUNT] = _MEDIAPIPE_JAW_WEIGHT
        weight[_CHIN] = 1.0
        return Landmarks(transform_points(window.from_crop(_WINDOW_PX), mesh), weight)


class FaceAlignmentLandmarks:
    """face-alignment's 3D points, projected: like iBUG's in 3D they stay on the hidden jaw."""

    def __init__(self) -> None:
        """Load it; it downloads its weights at first.

        Raises:
            ValueError: If it is not installed.
        """
        module = _imported("face_alignment", "pip install face-alignment")
        self._find = module.FaceAlignment(module.LandmarksType.THREE_D, device="cpu", flip_input=True)

    def __call__(self, photograph: FacePhotograph) -> Landmarks:
        """Look at the face of a photograph.

        Raises:
            ValueError: If nothing is found.
        """
        window, cut = _cut(photograph)
        low, high = photograph.detection.box_px[:2], photograph.detection.box_px[2:]
        box = transform_points(window.to_crop(_WINDOW_PX), np.stack((low, high)).astype(np.float64))
        found = self._find.get_landmarks_from_image(cut, detected_faces=[box.ravel()])
        if not found:
            raise ValueError("face-alignment finds no face here")
        points = np.asarray(found[0], dtype=np.float64)[:, :2]
        return Landmarks(transform_points(window.from_crop(_WINDOW_PX), points), np.ones(68))


class FileLandmarks:
    """Points that the user brings."""

    def __init__(self, place: Path) -> None:
        """Remember where they are.

        Args:
            place: A file, or a folder with one for each photograph.

        Raises:
            FileNotFoundError: If there is no such file or folder.
        """
        if not place.exists():
            raise FileNotFoundError(f"--landmarks {place}: no such file or folder")
        self._place = place

    def __call__(self, photograph: FacePhotograph) -> Landmarks:
        """The points of a photograph's face: of several those about its detection.

        Raises:
            FileNotFoundError: If there is no file for the photograph.
            ValueError: Naming the file, if it cannot be used or shows another face.
        """
        image = photograph.path
        path = find_landmark_file(self._place, image)
        faces = read_landmark_file(path, image.stem)
        best = max(faces, key=lambda points: _overlap(points, photograph.detection))
        known = np.isfinite(best).all(axis=1)
        if _overlap(best, photograph.detection) < _LEAST_OVERLAP:
            raise ValueError(f"{path}: its points do not lie on the face that was found in {image.name}")
        return Landmarks(np.where(known[:, None], best, 0.0), known.astype(np.float64))


def _imported(module: str, advice: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(f"--landmarks {module.replace('_', '-')}: not installed; {advice}") from error


def _cut(photograph: FacePhotograph) -> tuple[CropWindow, UInt8[np.ndarray, "size size 3"]]:
    """A square about the detection, with room for chin and forehead."""
    left, top, right, bottom = (float(edge) for edge in photograph.detection.box_px)
    side_px = _WINDOW_OVER_BOX * max(right - left, bottom - top)
    window = CropWindow.about((0.5 * (left + right), 0.5 * (top + bottom)), side_px)
    return window, crop_image(photograph.image_srgb, window, _WINDOW_PX)


def _overlap(points_px: Float[np.ndarray, "68 2"], detection: Detection) -> float:
    """Intersection over union of the points' box and the detection's; 0 without known points."""
    known = points_px[np.isfinite(points_px).all(axis=1)]
    if len(known) < 2:
        return 0.0
    low, high = known.min(axis=0), known.max(axis=0)
    both = np.clip(np.minimum(high, detection.box_px[2:]) - np.maximum(low, detection.box_px[:2]), 0.0, None).prod()
    union = (high - low).prod() + detection.area_px - both
    return float(both / union) if union > 0.0 else 0.0
