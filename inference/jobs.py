"""`FaceJob`: a face on its way through the pipeline, and who works on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8

from data.detection import Detection
from inference.faces import FaceAnswer, FaceRequest
from inference.inputs import InputImage
from inference.refining import FacePhotograph, FaceRefining
from model.reconstructor import Reconstruction
from model.refine.refined import RefinedFace


@dataclass(frozen=True)
class FaceJob:
    """A reconstructed face to be written.

    Attributes:
        item: The image it was found in.
        index: Which face of the image, the largest first.
        image_srgb: The whole photograph.
        detection: Where it was found.
        request: What was reconstructed.
        reconstruction: The head, batch axis 1.
        confidence: Probability that it is right, see `inference.confidence`; NaN where nothing is known of it.
        refined: What a refinement says of it, None where it was not refined.
    """

    item: InputImage
    index: int
    image_srgb: UInt8[np.ndarray, "height width 3"]
    detection: Detection
    request: FaceRequest
    reconstruction: Reconstruction
    confidence: float = float("nan")
    refined: RefinedFace | None = None

    @classmethod
    def of_answer(cls, item: InputImage, index: int, detection: Detection, answer: FaceAnswer) -> "FaceJob":
        """A face that was reconstructed; where it was seen better on a second try, its detection is that of the try."""
        seen, request = answer.request.detection or detection, answer.request
        return cls(item, index, request.image_srgb, seen, request, answer.reconstruction, answer.confidence)

    def refined_by(self, refiner: FaceRefining) -> "FaceJob":
        """The job with what a refiner makes of its reconstruction, and with the camera that it found; it may raise."""
        face_name = f"{self.item.path.name}, face{self.index}"
        camera = self.request.intrinsics_px
        photograph = FacePhotograph(self.image_srgb, camera, self.detection, self.item.path, face_name)
        answer = refiner.refine(photograph, self.reconstruction)
        # The way through the crop rounds; a stage that looks for a focal length moves it by more.
        kept = torch.allclose(answer.intrinsics_px, camera, rtol=1e-4)
        source = self.request.camera_source if kept else "refined"
        request = replace(self.request, intrinsics_px=answer.intrinsics_px, camera_source=source)
        return replace(self, reconstruction=answer.reconstruction, request=request, refined=answer.refined)


class FaceReconstructing(Protocol):
    """Makes a head of each request."""

    def answers(self, requests: Sequence[FaceRequest]) -> list[FaceAnswer]:
        """Reconstruct a batch; it may raise."""
        ...
