"""A job of the pipeline hands its face to a refiner, and takes what that found."""

from pathlib import Path

import numpy as np
import torch

from data.alignment import CropWindow
from data.detection import Detection
from inference.faces import FaceRequest
from inference.inputs import InputImage
from inference.jobs import FaceJob
from inference.refining import FacePhotograph, RefinedAnswer

PHOTOGRAPH = np.zeros((24, 32, 3), np.uint8)


class ToldRefiner:
    """Says that the camera is twice as long, and notes what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[FacePhotograph, object]] = []

    def refine(self, photograph: FacePhotograph, reconstruction: object) -> RefinedAnswer:
        self.seen.append((photograph, reconstruction))
        return RefinedAnswer("better head", 2.0 * photograph.intrinsics_px, "told")  # pyright: ignore

    def stop(self) -> None:
        pass


def test_a_refined_job_has_the_head_and_the_camera_that_were_found() -> None:
    detection = Detection(np.array([1, 2, 9, 12], np.float32), np.zeros((5, 2), np.float32), 0.9)
    request = FaceRequest.in_photograph(PHOTOGRAPH, CropWindow(0.0, 0.0, 16.0))
    item = InputImage(Path("album/a.png"), "a.png")
    job = FaceJob(item, 1, PHOTOGRAPH, detection, request, "head")  # pyright: ignore
    refiner = ToldRefiner()
    after = job.refined_by(refiner)
    ((photograph, reconstruction),) = refiner.seen
    assert reconstruction == "head"
    assert photograph.image_srgb is PHOTOGRAPH
    assert photograph.detection is detection
    assert photograph.path == item.path
    assert photograph.face_name == "a.png, face1"
    assert (after.reconstruction, after.refined) == ("better head", "told")
    assert torch.equal(after.request.intrinsics_px, 2.0 * request.intrinsics_px)
    assert (request.camera_source, after.request.camera_source) == ("assumed", "refined")
    assert after.request.window == request.window
    assert (after.item, after.index, after.detection) == (item, 1, detection)
