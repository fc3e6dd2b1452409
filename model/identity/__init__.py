"""Face-recognition networks behind one Protocol: judges of whose face a picture shows."""

from model.identity.alignment import align_faces, embed_faces
from model.identity.dlib_resnet import DlibResNet
from model.identity.facenet import FaceNet
from model.identity.mobilefacenet import MobileFaceNet
from model.identity.network import IdentityConfig, IdentityNetwork, NetworkKind

__all__ = ["IdentityConfig", "IdentityNetwork", "NetworkKind", "align_faces", "build_identity_network", "embed_faces"]

_LAYOUT = {"dlib": "dlib_resnet.py", "mobilefacenet": "mobilefacenet.py"}


def build_identity_network(config: IdentityConfig) -> IdentityNetwork:
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
            f"the identity network `{config.network}` needs weights: name its .npz (its layout: "
            f"model/identity/{_LAYOUT[config.network]}), or choose `facenet`, which can download its own"
        )
    return DlibResNet(config.weights) if config.network == "dlib" else MobileFaceNet(config.weights)
