"""`PersonNetwork`: four classes of pixels from a picture of a head, small enough to be asked about every face.

A U-net (Ronneberger et al., MICCAI 2015) whose way down is the first stages of an image backbone, and whose way up is
made of depthwise blocks. It has its own backbone: the encoder that answers with heads may be replaced or retrained
without the masks changing.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from timm.models import FeatureInfo
from torch import Tensor, nn

from common.ranges import AT_LEAST_ONE, checked
from common.tensors import read_tensors, save_tensors
from model.person.classes import CLASS_NAMES

PERSON_FORMAT = "likeness-person-1"
_MEAN = _STD = 0.5


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("image_size",)})
class PersonNetworkConfig:
    """What the network is made of.

    Attributes:
        backbone: An EfficientNet of timm's; its stages at strides 2 to 16 are used, later ones are not built.
        widths: Channels of the way up, from stride 16 to stride 2.
        image_size: Side of the pictures it is made for in px, a multiple of 16.
    """

    backbone: str = "tf_efficientnet_lite0"
    widths: tuple[int, ...] = (64, 48, 32, 24)
    image_size: int = 160

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}: expected four numbers of 1 or more")
        if self.image_size % 16:
            raise ValueError(f"image_size is {self.image_size}: expected a multiple of 16")


class PersonNetwork(nn.Module):
    """Pictures in, scores of `CLASS_NAMES` out."""

    def __init__(self, config: PersonNetworkConfig) -> None:
        """Build it with random weights."""
        super().__init__()
        self.config = config
        self.backbone = timm.create_model(config.backbone, pretrained=False, features_only=True)
        feature_info, stages = self.backbone.feature_info, self.backbone.blocks
        # So it is with every EfficientNet of timm's that is made for its features.
        assert isinstance(feature_info, FeatureInfo)
        assert isinstance(stages, nn.Sequential)
        kept = feature_info.info[: len(config.widths)]
        # What follows the last stage that is asked for would be computed and thrown away.
        del stages[kept[-1]["stage"] :]
        channels = [stage["num_chs"] for stage in reversed(kept)]
        self.enter = _convolution(channels[0], config.widths[0], 1)
        # What the whole picture shows (indoors, black and white, a hood) helps at every place.
        self.context = nn.Conv2d(channels[0], config.widths[0], 1)
        self.deepest = _Block(config.widths[0], config.widths[0])
        self.skips = nn.ModuleList(
            _convolution(below, width, 1) for below, width in zip(channels[1:], config.widths[1:], strict=True)
        )
        self.blocks = nn.ModuleList(
            _Block(before + width, width) for before, width in zip(config.widths[:-1], config.widths[1:], strict=True)
        )
        self.answer = nn.Conv2d(config.widths[-1], len(CLASS_NAMES), 1)

    def forward(self, image_srgb: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch kind size size"]:
        """Scores (logits) of the classes.

        Args:
            image_srgb: sRGB in [0, 1], its side a multiple of 16.
        """
        features = list(reversed(self.backbone((image_srgb - _MEAN) / _STD)))
        values = self.deepest(self.enter(features[0]) + self.context(features[0].mean((2, 3), keepdim=True)))
        for finer, skip, block in zip(features[1:], self.skips, self.blocks, strict=True):
            values = nn.functional.interpolate(values, size=finer.shape[-2:], mode="bilinear", align_corners=False)
            values = block(torch.cat((values, skip(finer)), dim=1))
        scores = self.answer(values)
        return nn.functional.interpolate(scores, size=image_srgb.shape[-2:], mode="bilinear", align_corners=False)


class _Block(nn.Module):
    """A depthwise 5 x 5 convolution for the place, a pointwise one for the kind, and a shortcut where they fit."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.place = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False), nn.BatchNorm2d(channels)
        )
        self.kind = _convolution(channels, width, 1)
        self.again = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, values: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch out height width"]:
        values = self.kind(self.place(values))
        return nn.functional.relu(values + self.again(values))


def _convolution(channels: int, width: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, side, padding=side // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def save_person_network(network: PersonNetwork, path: Path, provenance: str) -> None:
    """Write the weights in half precision, with what they are made for in the file's metadata.

    Args:
        network: The trained network.
        path: The `.safetensors` file.
        provenance: What it was trained on, in words.
    """
    weights = {
        name: value.half().contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    config = {
        "backbone": network.config.backbone,
        "widths": list(network.config.widths),
        "image_size": network.config.image_size,
    }
    save_tensors(weights, path, {"format": PERSON_FORMAT, "config": json.dumps(config), "provenance": provenance})


def load_person_network(path: Path, device: str | torch.device = "cpu") -> PersonNetwork:
    """Read a network, in evaluation mode and single precision.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such network.
    """
    weights, metadata = read_tensors(path, PERSON_FORMAT, remedy="train one with python -m tools.train_person_mask")
    try:
        config = json.loads(metadata["config"])
        network = PersonNetwork(PersonNetworkConfig(**{**config, "widths": tuple(config["widths"])}))
        counters = {n: v for n, v in network.state_dict().items() if n.endswith("num_batches_tracked")}
        network.load_state_dict({**{name: value.float() for name, value in weights.items()}, **counters})
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: its weights do not fit its description ({error})") from error
    return network.eval().to(device)
