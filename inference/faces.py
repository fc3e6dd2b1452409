"""From windows of photographs to heads: the crops, the network, the second look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.tensor_groups import map_tensors
from data.alignment import (
    CropWindow,
    compose,
    crop_image,
    seen_upright,
    transform_points,
    turned_clockwise,
    warp_image,
    window_from_detection,
    window_from_landmarks,
)
from data.detection import Detection
from data.detector import FaceDetector
from inference.camera import CameraSource, PhotographCamera
from inference.confidence import Signals, confidence, points_percent, spread_percent
from inference.mirror import ParameterMirror, mean_parameters
from inference.options import DEFAULT_LOOKS
from inference.roll import rolled
from model.geometry.camera import crop_intrinsics, default_intrinsics
from model.parameters import FaceParameters
from model.reconstructor import Encoded, Reconstruction, Reconstructor

_CLOSER = 0.9
"""Each look after the first one asks about the window and about a closer one, and about their mirror images. On
held-out photographs, with windows as bad as a detector's, the mean of the four answers has 2.58 % NME, that of a window
and its mirror image 2.62, a single answer 2.72.
"""

Encoding = Callable[[torch.Tensor, torch.Tensor], Encoded]
"""From crops and their intrinsics to parameters and features."""

_Crops = tuple[Float[torch.Tensor, "batch 3 size size"], Float[torch.Tensor, "batch 3 3"]]
"""Crops and their intrinsics."""


@dataclass(frozen=True)
class FaceRequest:
    """A face to be reconstructed.

    Attributes:
        image_srgb: The whole photograph.
        window: Where the face is thought to be, in the photograph turned by `roll_degrees`.
        intrinsics_px: Camera of the photograph; square pixels where it is turned.
        camera_source: Where that came from, see `inference.camera`.
        roll_degrees: How far the photograph is turned clockwise about its principal point before the window is cut, so
            that a face that leans counter-clockwise stands upright. The answer is turned back.
        detection: What the detector said of the face, in the photograph; None where none was asked.
    """

    image_srgb: UInt8[np.ndarray, "height width 3"]
    window: CropWindow
    intrinsics_px: Float[torch.Tensor, "3 3"]
    camera_source: CameraSource = "assumed"
    roll_degrees: float = 0.0
    detection: Detection | None = None

    @property
    def turn(self) -> Float[np.ndarray, "2 3"]:
        """From the photograph's px to those of the turned one. A turn about the principal point keeps the camera."""
        return turned_clockwise(self.roll_degrees, _principal_point(self.intrinsics_px))

    def crop(self, window: CropWindow, size: int) -> UInt8[np.ndarray, "size size 3"]:
        """Cut a window out of the turned photograph."""
        if self.roll_degrees == 0.0:
            return crop_image(self.image_srgb, window, size)
        return warp_image(self.image_srgb, compose(window.to_crop(size), self.turn), size)

    @classmethod
    def in_photograph(cls, image_srgb: UInt8[np.ndarray, "height width 3"], window: CropWindow) -> "FaceRequest":
        """A request in a photograph of unknown camera."""
        return cls(image_srgb, window, default_intrinsics(*image_srgb.shape[:2]))

    @classmethod
    def of_detection(
        cls,
        image_srgb: UInt8[np.ndarray, "height width 3"],
        detection: Detection,
        camera: PhotographCamera | None = None,
    ) -> "FaceRequest":
        """A request for a face that was found in a photograph, of unknown camera where none is given."""
        intrinsics_px = default_intrinsics(*image_srgb.shape[:2]) if camera is None else camera.intrinsics_px
        source: CameraSource = "assumed" if camera is None else camera.source
        roll = detection.roll_degrees
        upright = detection
        if roll != 0.0:
            upright = seen_upright(detection, turned_clockwise(roll, _principal_point(intrinsics_px)))
        return cls(image_srgb, window_from_detection(upright), intrinsics_px, source, roll, detection)

    @classmethod
    def about(
        cls,
        image_srgb: UInt8[np.ndarray, "height width 3"],
        landmarks_px: Float[np.ndarray, "68 2"],
        camera: PhotographCamera,
        roll_degrees: float = 0.0,
    ) -> "FaceRequest":
        """A request for a face whose landmarks are known or expected.

        Args:
            image_srgb: The photograph.
            landmarks_px: In it.
            camera: Its camera.
            roll_degrees: How far it is to be turned.
        """
        intrinsics_px = camera.intrinsics_px
        if roll_degrees:
            turn = turned_clockwise(roll_degrees, _principal_point(intrinsics_px))
            landmarks_px = transform_points(turn, landmarks_px)
        return cls(image_srgb, window_from_landmarks(landmarks_px), intrinsics_px, camera.source, roll_degrees)


def _principal_point(intrinsics_px: Float[torch.Tensor, "3 3"]) -> tuple[float, float]:
    return float(intrinsics_px[0, 2]), float(intrinsics_px[1, 2])


def find_faces(
    detector: FaceDetector, image_srgb: UInt8[np.ndarray, "height width 3"], *, largest_face: bool = False
) -> list[Detection]:
    """The faces of a photograph, the largest first.

    Args:
        detector: Finds them.
        image_srgb: The photograph.
        largest_face: Keep only the largest.
    """
    found = detector.detect(image_srgb, largest_face=largest_face)
    detections = sorted(found, key=lambda face: -face.area_px)
    return detections[:1] if largest_face else detections


@dataclass(frozen=True)
class FaceAnswer:
    """A reconstructed face.

    Attributes:
        request: What was asked, with the detection that the answer was compared with.
        reconstruction: The head, batch axis 1, in the photograph's px.
        signals: What speaks for and against it; None where it was not compared with a detection.
    """

    request: FaceRequest
    reconstruction: Reconstruction
    signals: Signals | None

    @property
    def confidence(self) -> float:
        """Probability that it is right, in [0, 1]; NaN where nothing is known of it."""
        return float("nan") if self.signals is None else confidence(self.signals)


@dataclass(frozen=True)
class Glance:
    """What a single look at a face says of it, without a mesh.

    Attributes:
        detection: Where it was found.
        parameters: The head in the photograph's camera, batch axis 1, on the CPU.
        landmarks68_px: iBUG's points in the photograph.
    """

    detection: Detection
    parameters: FaceParameters
    landmarks68_px: Float[np.ndarray, "68 2"]


class FaceReconstructor:
    """Runs a reconstructor on windows of photographs; answers in the photographs' own cameras and pixels."""

    def __init__(
        self,
        reconstructor: Reconstructor,
        device: torch.device,
        looks: int = DEFAULT_LOOKS,
        *,
        encode: Encoding | None = None,
    ) -> None:
        """Take the model.

        Args:
            reconstructor: The model, on `device`, in evaluation mode.
            device: Where it runs.
            looks: How often each face is cropped; each crop is found from the landmarks of the look before.
            encode: Who answers crops in place of the model's own `look_at`.

        Raises:
            ValueError: If there is no look at all.
        """
        if looks < 1:
            raise ValueError(f"a face must be looked at once or more, not {looks} times")
        self.reconstructor = reconstructor
        self._encode = encode or reconstructor.look_at
        self._mirror = ParameterMirror(reconstructor.morphable_model)
        self._device = device
        self._looks = looks

    @torch.inference_mode()
    def reconstruct(self, requests: Sequence[FaceRequest]) -> list[Reconstruction]:
        """Reconstruct faces of any photographs as one batch.

        Returns:
            One reconstruction with a batch axis of 1 for each request, on the CPU, in the photograph's pixels.
        """
        return [answer.reconstruction for answer in self.answers(requests)]

    @torch.inference_mode()
    def answers(self, requests: Sequence[FaceRequest], *, fine: bool = True) -> list[FaceAnswer]:
        """`reconstruct`, with what speaks for and against each answer.

        Args:
            requests: The faces.
            fine: Whether the mesh decoder adds its detail.
        """
        if not requests:
            return []
        windows = [request.window for request in requests]
        whole = torch.stack([request.intrinsics_px for request in requests]).to(self._device)
        crops = self._crops(requests, windows)
        encoded = self._encode(*crops)
        parameters, pooled = encoded.parameters, encoded.pooled
        looks = [parameters]
        for _ in range(self._looks - 1):
            landmarks = self._points_px(parameters, whole).cpu().numpy()
            windows = [next_window(old, points) for old, points in zip(windows, landmarks, strict=True)]
            crops = self._crops(requests, windows)
            closer = self._crops(requests, [window.enlarged(_CLOSER) for window in windows])
            looks, pooled = self._both_sides(crops, closer)
            parameters = mean_parameters([mean_parameters(pair) for pair in (looks[:2], looks[2:])])
        # Once, and last: what the vertices show depends on where the head is.
        detail = self.reconstructor.detail(*crops, parameters, pooled) if fine else None
        rolls = torch.tensor([request.roll_degrees for request in requests], device=self._device)
        found = split_batch(self.reconstructor.decode(rolled(parameters, torch.deg2rad(rolls)), whole, detail))
        signals = self._signals(requests, windows, torch.stack([self._points_px(look, whole) for look in looks], dim=1))
        return [FaceAnswer(*one) for one in zip(requests, found, signals, strict=True)]

    def parameters_of(
        self, image_srgb: Float[torch.Tensor, "batch 3 size size"], intrinsics_px: Float[torch.Tensor, "batch 3 3"]
    ) -> FaceParameters:
        """What the network says of crops, by whatever runs it; no second look."""
        return self._encode(image_srgb, intrinsics_px).parameters

    @torch.inference_mode()
    def glances(self, requests: Sequence[FaceRequest]) -> list[Glance]:
        """The quickest answer: one look at each face, its parameters and 68 landmarks, no second look and no mesh.

        Args:
            requests: Faces that were detected.
        """
        if not requests:
            return []
        parameters = self._encode(*self._crops(requests, [request.window for request in requests])).parameters
        rolls = torch.tensor([request.roll_degrees for request in requests], device=self._device)
        whole = torch.stack([request.intrinsics_px for request in requests]).to(self._device)
        heads = rolled(parameters, torch.deg2rad(rolls))
        landmarks_px = self._points_px(heads, whole).cpu().numpy()
        glances = []
        for index, request in enumerate(requests):
            assert request.detection is not None
            own = map_tensors(heads, lambda values, i=index: values[i : i + 1].cpu())
            glances.append(Glance(request.detection, own, landmarks_px[index]))
        return glances

    def _points_px(
        self, parameters: FaceParameters, intrinsics_px: Float[torch.Tensor, "batch 3 3"]
    ) -> Float[torch.Tensor, "batch 68 2"]:
        return self.reconstructor.landmarks_image(parameters, intrinsics_px)[..., :2]

    def _signals(
        self,
        requests: Sequence[FaceRequest],
        windows: Sequence[CropWindow],
        looks_px: Float[torch.Tensor, "batch look 68 2"],
    ) -> list[Signals | None]:
        """Compare the looks at each face with one another, with its detection, and its last window with its first."""
        signals: list[Signals | None] = []
        for request, window, looks in zip(requests, windows, looks_px.cpu().double().numpy(), strict=True):
            # A single look cannot be compared with another.
            if request.detection is None or len(looks) == 1:
                signals.append(None)
                continue
            seen = seen_upright(request.detection, request.turn) if request.roll_degrees else request.detection
            signals.append(
                Signals(
                    spread_percent(looks),
                    points_percent(looks.mean(axis=0), seen),
                    shift_percent(request.window, window),
                    request.detection.score,
                )
            )
        return signals

    def _both_sides(self, *crops: _Crops) -> tuple[list[FaceParameters], Float[torch.Tensor, "batch feature"]]:
        """The answers about several crops of each face, each followed by that about its mirror image.

        All are told of the crops, and all are asked for at once: one batch of four times the size is faster than four.

        Returns:
            The answers, and the features of the first crops.
        """
        sides = [side for one in crops for side in (one, _mirrored(*one))]
        images_srgb, intrinsics_px = (torch.cat(parts) for parts in zip(*sides, strict=True))
        encoded, count = self._encode(images_srgb, intrinsics_px), len(sides[0][0])
        starts = range(0, len(images_srgb), count)
        answers = [map_tensors(encoded.parameters, lambda values, s=s: values[s : s + count]) for s in starts]
        looks = [self._mirror(answer) if index % 2 else answer for index, answer in enumerate(answers)]
        return looks, encoded.pooled[:count]

    def _crops(self, requests: Sequence[FaceRequest], windows: Sequence[CropWindow]) -> _Crops:
        """Cut the windows: crops and their intrinsics."""
        size = self.reconstructor.image_size
        pairs = list(zip(requests, windows, strict=True))
        crops = np.stack([request.crop(window, size) for request, window in pairs])
        intrinsics_px = torch.stack(
            [
                crop_intrinsics(request.intrinsics_px, window.left_px, window.top_px, size / window.side_px)
                for request, window in pairs
            ]
        )
        image_srgb = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255.0
        return image_srgb, intrinsics_px.to(self._device)


def _mirrored(
    image_srgb: Float[torch.Tensor, "batch 3 size size"], intrinsics_px: Float[torch.Tensor, "batch 3 3"]
) -> _Crops:
    """The mirror images of crops, and the cameras that see them so."""
    mirrored_px = intrinsics_px.clone()
    mirrored_px[:, 0, 2] = image_srgb.shape[-1] - intrinsics_px[:, 0, 2]
    return image_srgb.flip(-1), mirrored_px


def next_window(window: CropWindow, landmarks_px: Float[np.ndarray, "68 2"]) -> CropWindow:
    """The window around the landmarks found, unless they cannot be a face in the window before."""
    try:
        found = window_from_landmarks(landmarks_px)
    except ValueError:
        return window
    shift_px = np.subtract(found.center_px, window.center_px)
    plausible = 0.25 < found.side_px / window.side_px < 2.5 and float(np.hypot(*shift_px)) < window.side_px
    return found if plausible else window


def shift_percent(before: CropWindow, after: CropWindow) -> float:
    """How far a window was moved: its centre, in sides, and the logarithm of its side."""
    shift = np.subtract(after.center_px, before.center_px) / before.side_px
    change = abs(float(np.log(after.side_px / before.side_px)))
    return 100.0 * (float(np.hypot(*shift)) + change)


def split_batch(reconstruction: Reconstruction) -> list[Reconstruction]:
    """Cut a batch into its items, each with a batch axis of 1, on the CPU."""
    return [
        map_tensors(reconstruction, lambda values, i=i: values[i : i + 1].cpu())
        for i in range(len(reconstruction.landmarks68_image))
    ]
