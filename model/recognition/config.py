"""Which face-recognition network a config chooses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NetworkKind = Literal["dlib", "facenet", "mobilefacenet"]


@dataclass(frozen=True)
class RecognitionConfig:
    """Which recognition network, and its weights.

    Attributes:
        network: `dlib`: dlib's ResNet (`model.recognition.dlib_resnet`); `facenet`: facenet-pytorch's InceptionResnetV1
            (`model.recognition.facenet`); `mobilefacenet`: a MobileFaceNet (`model.recognition.mobilefacenet`).
        weights: File of weights. dlib's network and MobileFaceNet need one (`.npz`, each in its own layout); FaceNet
            takes `.safetensors` or `.pt`, and without one lets facenet-pytorch download its own.
    """

    network: NetworkKind = "dlib"
    weights: Path | None = None
