"""Answers that are compared with what was detected; those that disagree are looked at again in turned photographs."""

from collections.abc import Sequence

from data.detection import Detection
from data.detector import FaceDetector, with_roll
from inference.camera import PhotographCamera
from inference.confidence import DOUBTFUL_BELOW
from inference.faces import FaceAnswer, FaceReconstructor, FaceRequest
from model.reconstructor import Reconstruction


class CheckedFaces:
    """Asks the network, and asks again about faces that are turned otherwise than they were detected."""

    def __init__(self, faces: FaceReconstructor, detector: FaceDetector) -> None:
        """Take both."""
        self._faces = faces
        self._detector = detector

    def reconstruct(self, requests: Sequence[FaceRequest]) -> list[Reconstruction]:
        """The heads alone."""
        return [answer.reconstruction for answer in self.answers(requests)]

    def answers(self, requests: Sequence[FaceRequest], *, fine: bool = True) -> list[FaceAnswer]:
        """Reconstruct a batch; of each face the answer with the highest confidence.

        Args:
            requests: The faces.
            fine: Whether the mesh decoder adds its detail.

        Returns:
            One answer for each request. Its own request differs where the face was seen better in a turned photograph.
        """
        answers = self._faces.answers(requests, fine=fine)
        again = [
            (index, other)
            for index, answer in enumerate(answers)
            if answer.signals is not None and answer.confidence < DOUBTFUL_BELOW
            for other in self._other_requests(answer.request)
        ]
        others = self._faces.answers([other for _, other in again], fine=fine)
        for (index, _), other in zip(again, others, strict=True):
            if other.confidence > answers[index].confidence:
                answers[index] = other
        return answers

    def _other_requests(self, request: FaceRequest) -> list[FaceRequest]:
        """The same face as it is seen in the photograph turned by 90, 180 and 270 degrees."""
        assert request.detection is not None
        seen = [with_roll(face) for face in self._detector.turned_looks(request.image_srgb, request.detection)]
        camera = PhotographCamera(request.intrinsics_px, request.camera_source, "")
        new = [face for face in seen if _turned_otherwise(face, request.detection)]
        return [FaceRequest.of_detection(request.image_srgb, face, camera) for face in new]


def _turned_otherwise(face: Detection, before: Detection) -> bool:
    return abs((face.roll_degrees - before.roll_degrees + 180.0) % 360.0 - 180.0) > 20.0
