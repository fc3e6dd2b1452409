"""dlib's face-recognition ResNet in PyTorch.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), in Davis King's 29-layer version
(dlib 19.3, `dnn_metric_learning_on_images_ex.cpp`). The weights are not part of the project: the user names an `.npz`
with keys `<block>.<conv1|conv2>.conv.filters` (kh, kw, in, out), `.conv.bias`, `.scale.weights`, `.scale.biases`
and `fc` (256, 128).
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.recognition.network import at_least_single

SAME_PERSON_DISTANCE = 0.6
"""Euclidean distance up to which two vectors are of one person; the network was trained around it."""

_MEAN_RGB = (122.782, 117.001, 104.298)
_TEMPLATE_PX = ((51.6, 58.0), (98.4, 58.0), (75.0, 85.0), (57.0, 108.0), (93.0, 108.0))
# A block's kind follows from its name, as in dlib's definition of the network.
_BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the input; with `down`, at half the resolution."""

    def __init__(self, channels_in: int, channels_out: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        stride, padding = (2, 0) if down else (1, 1)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=padding)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, features: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch out rows columns"]:
        convolved = self.conv2(torch.relu(self.conv1(features)))
        if self.down:
            features = nn.functional.avg_pool2d(features, 2)
            missing_rows, missing_columns = (features.shape[axis] - convolved.shape[axis] for axis in (2, 3))
            convolved = nn.functional.pad(convolved, (0, missing_columns, 0, missing_rows))
            missing_channels = convolved.shape[1] - features.shape[1]
            features = nn.functional.pad(features, (0, 0, 0, 0, 0, missing_channels))
        return torch.relu(convolved + features)


class DlibResNet(nn.Module):
    """An `RecognitionNetwork`: aligned faces to 128 numbers, whose lengths are all near 1.4."""

    face_size_px: int = 150
    feature_count: int = 128
    template_px: Float[Tensor, "5 2"]
    mean: Float[Tensor, "1 3 1 1"]

    def __init__(self, weights_path: Path) -> None:
        """Read the weights.

        Args:
            weights_path: The `.npz` described at the top of this file.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is not such a file.
        """
        super().__init__()
        if not weights_path.is_file():
            raise FileNotFoundError(f"{weights_path}: no such file (weights of dlib's face-recognition ResNet as .npz)")
        try:
            with np.load(weights_path, allow_pickle=False) as file:
                arrays = {name: file[name].astype(np.float32) for name in file.files}
            self._build(arrays)
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            raise ValueError(f"{weights_path}: not the weights of dlib's face-recognition ResNet ({error})") from error
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("template_px", torch.tensor(_TEMPLATE_PX), persistent=False)
        self.eval().requires_grad_(requires_grad=False)

    def _build(self, arrays: dict[str, np.ndarray]) -> None:
        self.first = nn.Conv2d(3, 32, 7, stride=2)
        _load_convolution(self.first, arrays, "conv32_down")
        blocks = []
        for name in _BLOCKS:
            channels_out, channels_in = arrays[f"{name}.conv1.conv.filters"].shape[:1:-1]
            block = _ResidualBlock(channels_in, channels_out, down="down" in name)
            _load_convolution(block.conv1, arrays, f"{name}.conv1")
            _load_convolution(block.conv2, arrays, f"{name}.conv2")
            blocks.append(block)
        self.blocks = nn.Sequential(*blocks)
        self.register_buffer("projection", torch.from_numpy(arrays["fc"]))

    def train(self, mode: bool = True) -> "DlibResNet":
        """Stay as it is: what contains it trains, it does not."""
        super().train(mode=False)
        return self

    def forward(self, faces_srgb: Float[Tensor, "batch 3 150 150"]) -> Float[Tensor, "batch 128"]:
        """Embed aligned faces."""
        features = torch.relu(self.first((255.0 * faces_srgb - self.mean) / 256.0))
        features = self.blocks(nn.functional.max_pool2d(features, 3, 2))
        return features.mean((2, 3)) @ self.get_buffer("projection")

    def embed(self, faces_srgb: Float[Tensor, "batch 3 150 150"]) -> Float[Tensor, "batch 128"]:
        """Vectors of aligned faces, sRGB in [0, 1]; differentiable with respect to them."""
        return self(faces_srgb)

    def similarity(
        self, first: Float[Tensor, "batch 128"], second: Float[Tensor, "batch 128"]
    ) -> Float[Tensor, " batch"]:
        """1 for the same vector, 0.5 at the distance up to which two are of one person, falling with its square.

        The vectors have nearly one length but share a large common part, so that their plain cosine is 0.87 for two
        strangers (0.95 for one person). For vectors of length 1.4 this is that cosine, spread: 1 - 5.4 (1 - cosine).
        """
        return 1.0 - 0.5 * (at_least_single(first) - at_least_single(second)).square().sum(-1) / SAME_PERSON_DISTANCE**2


def _load_convolution(layer: nn.Conv2d, arrays: dict[str, np.ndarray], name: str) -> None:
    # dlib's affine layer after a convolution folds into it: scale * (W x + b) + bias.
    scale, bias = arrays[f"{name}.scale.weights"], arrays[f"{name}.scale.biases"]
    filters = arrays[f"{name}.conv.filters"].transpose(3, 2, 0, 1) * scale[:, None, None, None]
    layer.load_state_dict(
        {
            "weight": torch.from_numpy(np.ascontiguousarray(filters)),
            "bias": torch.from_numpy(arrays[f"{name}.conv.bias"] * scale + bias),
        }
    )
