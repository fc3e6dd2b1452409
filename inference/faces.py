"""From windows of photographs to heads: the crops, the network, the second look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.tensor_groups import map_tensors
from data.alignment import CropWindow, crop_image, window_from_detection, window_from_landmarks
from data.detection import Detection
from data.detector import FaceDetector
from inference.camera import CameraSource, PhotographCamera
from inference.mirror import ParameterMirror, mean_parameters
from inference.options import DEFAULT_LOOKS
from model.geometry.camera import crop_intrinsics, default_intrinsics
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor

_CLOSER = 0.9
"""Each look after the first one asks about the window and about a closer one, and about their mirror images. On
held-out photographs, with windows as bad as a detector's, the mean of the four answers has 2.58 % NME, that of a window
and its mirror image 2.62, a single answer 2.72.
"""


@dataclass(frozen=True)
class FaceRequest:
    """A face to be reconstructed.

    Attributes:
        image_srgb: The whole photograph.
        window: Where the face is thought to be.
        intrinsics_px: Camera of the photograph.
        camera_source: Where that came from, see `inference.camera`.
    """

    image_srgb: UInt8[np.ndarray, "height width 3"]
    window: CropWindow
    intrinsics_px: Float[torch.Tensor, "3 3"]
    camera_source: CameraSource = "assumed"

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
        window = window_from_detection(detection)
        if camera is None:
            return cls.in_photograph(image_srgb, window)
        return cls(image_srgb, window, camera.intrinsics_px, camera.source)


def find_faces(
    detector: FaceDetector, image_srgb: UInt8[np.ndarray, "height width 3"], *, largest_face: bool = False
) -> list[Detection]:
    """The faces of a photograph, the largest first.

    Args:
        detector: Finds them.
        image_srgb: The photograph.
        largest_face: Keep only the largest.
    """
    detections = sorted(detector.detect(image_srgb), key=lambda found: -found.area_px)
    return detections[:1] if largest_face else detections


class FaceReconstructor:
    """Runs a reconstructor on windows of photographs; answers in the photographs' own cameras and pixels."""

    def __init__(self, reconstructor: Reconstructor, device: torch.device, looks: int = DEFAULT_LOOKS) -> None:
        """Take the model.

        Args:
            reconstructor: The model, on `device`, in evaluation mode.
            device: Where it runs.
            looks: How often each face is cropped; each crop is found from the landmarks of the look before.

        Raises:
            ValueError: If there is no look at all.
        """
        if looks < 1:
            raise ValueError(f"a face must be looked at once or more, not {looks} times")
        self.reconstructor = reconstructor
        self._mirror = ParameterMirror(reconstructor.morphable_model)
        self._device = device
        self._looks = looks

    @torch.inference_mode()
    def reconstruct(self, requests: Sequence[FaceRequest]) -> list[Reconstruction]:
        """Reconstruct faces of any photographs as one batch.

        Returns:
            One reconstruction with a batch axis of 1 for each request, on the CPU, in the photograph's pixels.
        """
        if not requests:
            return []
        windows = [request.window for request in requests]
        whole = torch.stack([request.intrinsics_px for request in requests]).to(self._device)
        crops = self._crops(requests, windows)
        parameters = self.reconstructor.encode(*crops)
        for _ in range(self._looks - 1):
            landmarks = self.reconstructor.landmarks_image(parameters, whole)[..., :2].cpu().numpy()
            windows = [_next_window(old, points) for old, points in zip(windows, landmarks, strict=True)]
            crops = self._crops(requests, windows)
            closer = self._crops(requests, [window.enlarged(_CLOSER) for window in windows])
            parameters = mean_parameters([self._both_sides(*crops), self._both_sides(*closer)])
        # Once, and last: what the vertices show depends on where the head is.
        detail = self.reconstructor.detail(*crops, parameters)
        return split_batch(self.reconstructor.decode(parameters, whole, detail))

    def _both_sides(
        self, image_srgb: Float[torch.Tensor, "batch 3 size size"], intrinsics_px: Float[torch.Tensor, "batch 3 3"]
    ) -> FaceParameters:
        """The mean answer about crops and their mirror images."""
        mirrored_px = intrinsics_px.clone()
        mirrored_px[:, 0, 2] = image_srgb.shape[-1] - intrinsics_px[:, 0, 2]
        mirrored = self.reconstructor.encode(image_srgb.flip(-1), mirrored_px)
        return mean_parameters([self.reconstructor.encode(image_srgb, intrinsics_px), self._mirror(mirrored)])

    def _crops(
        self, requests: Sequence[FaceRequest], windows: Sequence[CropWindow]
    ) -> tuple[Float[torch.Tensor, "batch 3 size size"], Float[torch.Tensor, "batch 3 3"]]:
        """Cut the windows: crops and their intrinsics."""
        size = self.reconstructor.image_size
        pairs = list(zip(requests, windows, strict=True))
        crops = np.stack([crop_image(request.image_srgb, window, size) for request, window in pairs])
        intrinsics_px = torch.stack(
            [
                crop_intrinsics(request.intrinsics_px, window.left_px, window.top_px, size / window.side_px)
                for request, window in pairs
            ]
        )
        image_srgb = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255.0
        return image_srgb, intrinsics_px.to(self._device)


def _next_window(window: CropWindow, landmarks_px: Float[np.ndarray, "68 2"]) -> CropWindow:
    """The window around the landmarks found, unless they cannot be a face in the window before."""
    try:
        found = window_from_landmarks(landmarks_px)
    except ValueError:
        return window
    shift_px = np.subtract(found.center_px, window.center_px)
    plausible = 0.25 < found.side_px / window.side_px < 2.5 and float(np.hypot(*shift_px)) < window.side_px
    return found if plausible else window


def split_batch(reconstruction: Reconstruction) -> list[Reconstruction]:
    """Cut a batch into its items, each with a batch axis of 1, on the CPU."""
    return [
        map_tensors(reconstruction, lambda values, i=i: values[i : i + 1].cpu())
        for i in range(len(reconstruction.landmarks68_image))
    ]
