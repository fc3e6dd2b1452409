"""Face-recognition networks behind one Protocol: judges of whose face a picture shows."""

from typing import TYPE_CHECKING

from common.late_names import late_names
from model.recognition.config import NetworkKind, RecognitionConfig

if TYPE_CHECKING:
    from model.recognition.alignment import align_faces, embed_faces
    from model.recognition.build import build_recognition_network
    from model.recognition.network import RecognitionNetwork

__all__ = [
    "RecognitionConfig",
    "RecognitionNetwork",
    "NetworkKind",
    "align_faces",
    "build_recognition_network",
    "embed_faces",
]

_HOMES = {
    "RecognitionNetwork": "model.recognition.network",
    "align_faces": "model.recognition.alignment",
    "build_recognition_network": "model.recognition.build",
    "embed_faces": "model.recognition.alignment",
}

# Late: settings that name a network are read without torch.
__getattr__ = late_names("model.recognition", _HOMES)
