"""FaceNet as facenet-pytorch has it: Inception-ResNet v1, trained on VGGFace2.

Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering" (CVPR 2015); David Sandberg's
weights, converted by Tim Esler (https://github.com/timesler/facenet-pytorch). Nothing else in `model` imports it.
"""

import pickle
from pathlib import Path

import torch
from facenet_pytorch import InceptionResnetV1
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from model.recognition.network import cosine

DOWNLOAD = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt"
"""Where facenet-pytorch finds the weights itself."""

# Where its detector's boxes, with the margin of 14 px it was evaluated with, put the five points: the mean over 400
# photographs turned by less than 20 degrees, made symmetric.
_TEMPLATE_PX = ((48.5, 64.5), (111.5, 64.5), (80.0, 93.5), (53.2, 115.0), (106.8, 115.0))


class FaceNet(nn.Module):
    """An `RecognitionNetwork`: aligned faces to 512 numbers of length 1."""

    face_size_px: int = 160
    feature_count: int = 512
    template_px: Float[Tensor, "5 2"]

    def __init__(self, weights_path: Path | None = None) -> None:
        """Read the weights, or let facenet-pytorch download them (once; into torch's cache).

        Args:
            weights_path: A `.safetensors` file or a `.pt` of tensors only, as facenet-pytorch downloads it.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If it does not hold the network's weights.
            RuntimeError: If the download fails; the message says what else can be done.
        """
        super().__init__()
        self.network = _downloaded() if weights_path is None else _from_file(weights_path)
        self.register_buffer("template_px", torch.tensor(_TEMPLATE_PX), persistent=False)
        self.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> "FaceNet":
        """Stay as it is: what contains it trains, its batch statistics and its dropout do not."""
        super().train(mode=False)
        return self

    def forward(self, faces_srgb: Float[Tensor, "batch 3 160 160"]) -> Float[Tensor, "batch 512"]:
        """Embed aligned faces."""
        return self.network((255.0 * faces_srgb - 127.5) / 128.0)

    def embed(self, faces_srgb: Float[Tensor, "batch 3 160 160"]) -> Float[Tensor, "batch 512"]:
        """Vectors of aligned faces, sRGB in [0, 1]; differentiable with respect to them."""
        return self(faces_srgb)

    def similarity(
        self, first: Float[Tensor, "batch 512"], second: Float[Tensor, "batch 512"]
    ) -> Float[Tensor, " batch"]:
        """Cosine of the vectors' angle."""
        return cosine(first, second)


def _downloaded() -> nn.Module:
    try:
        # torch.load reads tensors only, by default since torch 2.6.
        network = InceptionResnetV1(pretrained="vggface2")
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise RuntimeError(
            f"facenet-pytorch could not download or read its weights ({error}); fetch {DOWNLOAD} on a machine that "
            "can and name the file as the weights of the recognition network, or choose the "
            "network `dlib` with its own weights; a broken download lies in ~/.cache/torch/checkpoints: delete it"
        ) from error
    # The classifier of the people it was trained on.
    del network.logits
    return network


def _from_file(path: Path) -> nn.Module:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file (weights of facenet-pytorch's InceptionResnetV1; download them from {DOWNLOAD}, or "
            "name no file and let facenet-pytorch do it)"
        )
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else _load_pt(path)
        network = InceptionResnetV1(pretrained=None)
        network.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("logits.")})
    except Exception as error:  # torch's reader raises whatever the bytes of a foreign file lead it to.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: not the weights of facenet-pytorch's InceptionResnetV1, as .safetensors or as .pt of tensors "
            f"({reason})"
        ) from error
    return network


def _load_pt(path: Path) -> dict[str, Tensor]:
    # Tensors only: a pickle from the web may hold code.
    return torch.load(path, map_location="cpu", weights_only=True)
