"""What a refiner takes and gives: a photograph with a face in it, and a better reconstruction of that face."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.places import Place
from data.detection import Detection
from model.reconstructor import Reconstruction
from model.refine.refined import RefinedFace


@dataclass(frozen=True)
class FacePhotograph:
    """A photograph, and which of its faces is meant.

    Attributes:
        image_srgb: The whole photograph.
        intrinsics_px: Its camera.
        detection: Where the face was found.
        path: Its file; landmarks that the user brings are found by its name.
        face_name: What messages call the face.
    """

    image_srgb: UInt8[np.ndarray, "height width 3"]
    intrinsics_px: Float[torch.Tensor, "3 3"]
    detection: Detection
    path: Place
    face_name: str


@dataclass(frozen=True)
class RefinedAnswer:
    """What a refiner makes of a reconstruction.

    Attributes:
        reconstruction: The head, batch axis 1; the given one where nothing better was found.
        intrinsics_px: Camera of the photograph; a stage may have found another focal length.
        refined: What the stages found out.
    """

    reconstruction: Reconstruction
    intrinsics_px: Float[torch.Tensor, "3 3"]
    refined: RefinedFace


class FaceRefining(Protocol):
    """Refines faces, one at a time, and can be stopped."""

    def refine(self, photograph: FacePhotograph, reconstruction: Reconstruction) -> RefinedAnswer:
        """Fit a reconstruction to its photograph; it may raise."""
        ...

    def stop(self) -> None:
        """Let a refinement that is under way end soon, by an exception."""
        ...
