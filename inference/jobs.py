"""`FaceJob`: a face on its way through the pipeline, and who works on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from data.detection import Detection
from inference.faces import FaceRequest
from inference.inputs import InputImage
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
        refined: What a refinement says of it, None where it was not refined.
    """

    item: InputImage
    index: int
    image_srgb: UInt8[np.ndarray, "height width 3"]
    detection: Detection
    request: FaceRequest
    reconstruction: Reconstruction
    refined: RefinedFace | None = None


class FaceRefining(Protocol):
    """Refines faces, one at a time, and can be stopped."""

    def refine(self, job: FaceJob) -> FaceJob:
        """The job with a better reconstruction; it may raise."""
        ...

    def stop(self) -> None:
        """Let a refinement that is under way end soon, by an exception."""
        ...


class FaceReconstructing(Protocol):
    """Makes a head of each request."""

    def reconstruct(self, requests: Sequence[FaceRequest]) -> list[Reconstruction]:
        """Reconstruct a batch; it may raise."""
        ...
