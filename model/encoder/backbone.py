"""The image backbone: any timm model by name, as pooled features and, if asked for, what stands at which place."""

from contextlib import suppress
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from timm.data.config import resolve_data_config
from torch import Tensor, nn

from common.paths import tool_command
from common.tensors import read_tensors
from model.encoder.config import EncoderConfig


class Backbone(nn.Module):
    """A timm network without its classifier, with the normalisation its weights expect.

    Attributes:
        feature_count: Width of the pooled features.
        place_count: How many numbers of places follow them: `place_channels` of each place of the last feature map.
    """

    mean: Float[Tensor, "1 3 1 1"]
    std: Float[Tensor, "1 3 1 1"]

    def __init__(self, config: EncoderConfig, image_size: int) -> None:
        """Build the network and load its starting weights.

        Args:
            config: Backbone name and starting weights.
            image_size: Side of the square crops in px; transformers size their position embedding by it.

        Raises:
            ValueError: If timm knows no such model, it takes no crops of this size, or the weights do not fit it.
            FileNotFoundError: If `pretrained` names a file that is missing.
            RuntimeError: If timm's download fails; the message says what else can be done.
        """
        super().__init__()
        if not timm.is_model(config.backbone):
            similar = ", ".join(timm.list_models(f"*{config.backbone.split('_')[0]}*")[:5]) or "timm.list_models()"
            raise ValueError(f"encoder.backbone={config.backbone!r} is no timm model; see {similar}")
        self.network = _create(config, image_size)
        self.feature_count = _feature_count(self.network, config, image_size)
        self.place_count = 0
        self.places: nn.Linear | None = None
        if config.place_channels:
            count, channels = _map_size(self.network, config, image_size)
            self.place_count = count * config.place_channels
            self.places = nn.Linear(channels, config.place_channels)
        statistics = resolve_data_config({}, model=self.network)
        self.register_buffer("mean", torch.tensor(statistics["mean"]).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics["std"]).reshape(1, 3, 1, 1), persistent=False)
        if config.pretrained not in {"timm", "none"}:
            load_local_weights(self.network, Path(config.pretrained))

    def forward(self, image_srgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch feature"]:
        """Pooled features of sRGB images in [0, 1], and behind them those of places, row by row."""
        normalized = (image_srgb - self.mean) / self.std
        if self.places is None:
            return self.network(normalized)
        feature_map = self.network.forward_features(normalized)  # pyright: ignore[reportCallIssue]
        pooled = self.network.forward_head(feature_map, pre_logits=True)  # pyright: ignore[reportCallIssue]
        places = self.places(_places(self.network, feature_map))
        return torch.cat((pooled, places.flatten(1)), dim=1)


def _create(config: EncoderConfig, image_size: int) -> nn.Module:
    options = {"pretrained": config.pretrained == "timm", "num_classes": 0}
    description = timm.get_pretrained_cfg(config.backbone)
    try:
        if description is not None and description.fixed_input_size:
            # Transformers size their position embeddings when they are built; a few of them by themselves.
            with suppress(TypeError):
                return timm.create_model(config.backbone, img_size=image_size, **options)
        return timm.create_model(config.backbone, **options)
    except OSError as error:
        raise RuntimeError(
            f"timm could not download the ImageNet weights of {config.backbone} ({error}); set encoder.pretrained to a "
            f"local safetensors file ({tool_command('import_backbone')} makes one) or to 'none'"
        ) from error


def _places(network: nn.Module, feature_map: Tensor) -> Float[Tensor, "batch place channel"]:
    """The last feature map with its places in a row, whichever way a family of networks lays it out."""
    if feature_map.ndim == 3:
        # Tokens of a transformer; class and register tokens stand at no place.
        return feature_map[:, int(getattr(network, "num_prefix_tokens", 0)) :]
    # Swin and its kin say that they have the channels last.
    return feature_map.flatten(1, 2) if _channels_last(network) else feature_map.flatten(2).mT


def _channels_last(network: nn.Module) -> bool:
    return str(getattr(network, "output_fmt", "NCHW")).upper().endswith("NHWC")


@torch.no_grad()
def _map_size(network: nn.Module, config: EncoderConfig, image_size: int) -> tuple[int, int]:
    """Places of the last feature map, and its channels."""
    network.eval()
    try:
        feature_map = network.forward_features(torch.zeros(1, 3, image_size, image_size))  # pyright: ignore[reportCallIssue]
    finally:
        network.train()
    if not isinstance(feature_map, Tensor) or feature_map.ndim not in (3, 4):
        raise ValueError(f"encoder.place_channels: {config.backbone!r} has no feature map; set it to 0")
    _, count, channels = _places(network, feature_map).shape
    return count, channels


@torch.no_grad()
def _feature_count(network: nn.Module, config: EncoderConfig, image_size: int) -> int:
    # Asked of the network itself: timm's `num_features` is not the width of the pooled output where the head has a
    # hidden layer (MobileNetV3 and V4, VGG, HGNet ...).
    network.eval()
    try:
        features = network(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"encoder.backbone={config.backbone!r} does not take crops of {image_size} px ({error}); "
            "change image_size or the backbone"
        ) from error
    finally:
        network.train()
    return int(features.shape[1])


def load_local_weights(network: nn.Module, path: Path) -> None:
    """Load a local safetensors file into a timm network, strictly but for its classifier.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no safetensors file, or its tensors are not the network's.
    """
    tensors, _ = read_tensors(path, missing="no such weights file (encoder.pretrained)")
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    wrong = [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
    if missing or wrong:
        raise ValueError(
            f"{path}: does not fit this backbone: {len(missing)} tensors missing ({', '.join(missing[:3])}), "
            f"{len(wrong)} of another shape ({', '.join(wrong[:3])})"
        )
    network.load_state_dict({name: tensors.get(name, value) for name, value in wanted.items()})
