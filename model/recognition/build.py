"""The recognition network that a config names."""

from model.recognition.config import RecognitionConfig
from model.recognition.dlib_resnet import DlibResNet
from model.recognition.facenet import FaceNet
from model.recognition.mobilefacenet import MobileFaceNet
from model.recognition.network import RecognitionNetwork

_LAYOUT = {"dlib": "dlib_resnet.py", "mobilefacenet": "mobilefacenet.py"}


def build_recognition_network(config: RecognitionConfig) -> RecognitionNetwork:
    """The network that a config names, frozen, on the CPU.

    Raises:
        FileNotFoundError: If its weights are missing.
        ValueError: If they are not named, where they must be, or are another network's.
        RuntimeError: If they cannot be downloaded.
    """
    if config.network == "facenet":
        return FaceNet(config.weights)
    if config.weights is None:
        raise ValueError(
            f"the recognition network `{config.network}` needs weights: name its .npz (its layout: "
            f"model/recognition/{_LAYOUT[config.network]}), or choose `facenet`, which can download its own"
        )
    return DlibResNet(config.weights) if config.network == "dlib" else MobileFaceNet(config.weights)
