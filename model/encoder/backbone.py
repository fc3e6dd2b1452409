"""The image backbone: any timm model by name, as pooled features and, if asked for, the points that it sees."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from timm.data.config import resolve_data_config
from torch import Tensor, nn

from common.paths import tool_command
from common.tensors import read_tensors
from model.encoder.config import EncoderConfig
from model.encoder.point_decoder import MAP_CHANNELS, PointDecoder


@dataclass(frozen=True)
class Seen:
    """What the backbone sees in a batch of crops.

    Attributes:
        pooled: Features of the whole crop.
        points: Places of the head's points, (0, 0) the top left and (1, 1) the lower right corner of the crop.
        log_distance: Logarithm of the distance that each is expected to be off, in sides of the crop.
        feature_map: What is seen where, for a second look at chosen places; None where none is taken.
    """

    pooled: Float[Tensor, "batch feature"]
    points: Float[Tensor, "batch point 2"]
    log_distance: Float[Tensor, "batch point"]
    feature_map: Float[Tensor, "batch channel height width"] | None = None


class Backbone(nn.Module):
    """A timm network without its classifier, with the normalisation its weights expect.

    Attributes:
        feature_count: Width of the pooled features.
        point_count: How many points are looked for; 0 without a decoder.
    """

    mean: Float[Tensor, "1 3 1 1"]
    std: Float[Tensor, "1 3 1 1"]

    def __init__(self, config: EncoderConfig, image_size: int, point_count: int = 0) -> None:
        """Build the network and load its starting weights.

        Args:
            config: Backbone name and starting weights.
            image_size: Side of the square crops in px; transformers size their position embedding by it.
            point_count: How many points of the head a decoder looks for, 0 for none.

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
        self.point_count = point_count
        self.decoder: PointDecoder | None = None
        if point_count:
            shapes = _map_shapes(self.network, config, image_size)
            self.decoder = PointDecoder(shapes, image_size, point_count, MAP_CHANNELS if config.aligned_look else 0)
        statistics = resolve_data_config({}, model=self.network)
        self.register_buffer("mean", torch.tensor(statistics["mean"]).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics["std"]).reshape(1, 3, 1, 1), persistent=False)
        if config.pretrained not in {"timm", "none"}:
            load_local_weights(self.network, Path(config.pretrained))

    def forward(self, image_srgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch feature"]:
        """What is seen in sRGB images in [0, 1].

        Returns:
            Pooled features; with a decoder, the places of the points behind them, x and y in turn, the logarithm of the
            distance that each is expected to be off, all in sides of the crop, and the feature map that is looked at
            again, if it is. `split` takes them apart.
        """
        normalized = (image_srgb - self.mean) / self.std
        if self.decoder is None:
            return self.network(normalized)
        last, maps = self.network.forward_intermediates(normalized)  # pyright: ignore[reportCallIssue]
        pooled = self.network.forward_head(last, pre_logits=True)  # pyright: ignore[reportCallIssue]
        # Not in half precision: a crop of 112 px has places of 0.05 px there.
        precision = self.decoder.places.weight.dtype
        with torch.autocast(image_srgb.device.type, enabled=False):
            decoded = self.decoder([feature_map.to(precision) for feature_map in maps])
        return torch.cat((pooled.to(precision), *(part.flatten(1) for part in decoded)), dim=1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Backbone":
        """What `to`, `half`, `cuda` and so on come down to: half precision is not for the decoder."""
        self.network._apply(fn)
        if self.decoder is not None:
            self.decoder._apply(never_narrowing(fn))
        self.mean, self.std = fn(self.mean), fn(self.std)
        return self

    def split(self, features: Float[Tensor, "batch feature"]) -> Seen:
        """The answer of `forward`, by what it means."""
        shape = (0, 1, 1) if self.decoder is None else self.decoder.map_shape
        sizes = self.feature_count, 2 * self.point_count, self.point_count, math.prod(shape)
        pooled, points, log_distance, feature_map = features.split(sizes, 1)
        return Seen(
            pooled,
            points.unflatten(1, (self.point_count, 2)),
            log_distance,
            feature_map.unflatten(1, shape) if feature_map.shape[1] else None,
        )


def never_narrowing(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What changes the tensors of a module, as `nn.Module._apply` is given it, without a step to half precision."""

    def precisely(value: Tensor) -> Tensor:
        changed = fn(value)
        narrowed = value.is_floating_point() and changed.dtype in (torch.float16, torch.bfloat16)
        return value.to(changed.device) if narrowed else changed

    return precisely


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


@torch.no_grad()
def _map_shapes(network: nn.Module, config: EncoderConfig, image_size: int) -> list[tuple[int, int, int]]:
    """Channels, height and width of the network's feature maps."""
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(f"encoder.points: timm gives no feature maps of {config.backbone!r}; set it to false")
    network.eval()
    try:
        _, maps = network.forward_intermediates(torch.zeros(1, 3, image_size, image_size))  # pyright: ignore[reportCallIssue]
    finally:
        network.train()
    return [tuple(feature_map.shape[1:]) for feature_map in maps]


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
