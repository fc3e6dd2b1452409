"""Where the head's points lie in a crop: a decoder on the feature maps of any timm network.

Pooled features do not tell places apart. Here each point has a map of its own, whose mean place is the answer (integral
regression, Sun et al., "Integral Human Pose Regression", ECCV 2018), and says how far off it expects to be.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

MAP_CHANNELS = 16
"""Features of each place of the map that `AlignedLook` looks at."""

_WIDTH = 64
# The finest map that is decoded has this many px of the crop for each of its places. The mean over a map is far finer
# than its places, and at half of this the decoder would cost a third of the network.
_FINEST_PX = 8
# A point that nothing is known about is expected within a fifth of the crop.
_FIRST_DISTANCE = 0.2


class PointDecoder(nn.Module):
    """From feature maps, fine to coarse, to points: a feature pyramid (Lin et al., CVPR 2017) with a map for each.

    Attributes:
        chosen: Which of the network's feature maps it reads, fine to coarse.
        map_shape: Channels, height and width of the feature map beside the points, without channels if there is none.
    """

    def __init__(
        self, shapes: list[tuple[int, int, int]], image_size: int, point_count: int, map_channels: int = 0
    ) -> None:
        """Make the layers.

        Args:
            shapes: Channels, height and width of the network's feature maps, in its order.
            image_size: Side of the crops in px.
            point_count: How many points.
            map_channels: Features of the map that is given beside them; 0 for none.
        """
        super().__init__()
        self.chosen = _choose(shapes, image_size)
        channels = [shapes[index][0] for index in self.chosen]
        self.lateral = nn.ModuleList(nn.Conv2d(count, _WIDTH, 1) for count in channels)
        self.smooth = nn.ModuleList(_smoothing() for _ in channels[1:])
        self.places = nn.Conv2d(_WIDTH, point_count, 1)
        self.distances = nn.Conv2d(_WIDTH, point_count, 1)
        self.looks = nn.Conv2d(_WIDTH, map_channels, 1) if map_channels else None
        self.map_shape = (map_channels, *shapes[self.chosen[0]][1:])
        nn.init.zeros_(self.distances.weight)
        assert self.distances.bias is not None  # The layer is made with one.
        nn.init.constant_(self.distances.bias, math.log(_FIRST_DISTANCE))

    def forward(self, maps: list[Float[Tensor, "batch _ _ _"]]) -> tuple[Tensor, ...]:
        """Find the points.

        Args:
            maps: All feature maps of the network.

        Returns:
            Places (batch, point, 2) in the crop, (0, 0) its top left and (1, 1) its lower right corner, the logarithm
            (batch, point) of the distance from the truth, in sides of the crop, that is to be expected, and, if there
            is one, the feature map.
        """
        laterals = [layer(maps[index]) for layer, index in zip(self.lateral, self.chosen, strict=True)]
        joined = laterals.pop()
        for smooth in reversed(self.smooth):
            finer = laterals.pop()
            joined = smooth(finer + interpolate(joined, size=finer.shape[-2:], mode="bilinear", align_corners=False))
        share = self.places(joined).flatten(2).softmax(-1)
        points = share @ _centres(joined)
        log_distance = (share * self.distances(joined).flatten(2)).sum(-1)
        return (points, log_distance) if self.looks is None else (points, log_distance, self.looks(joined))


def _choose(shapes: list[tuple[int, int, int]], image_size: int) -> list[int]:
    """The last map of each size that is not too fine."""
    last: dict[int, int] = {}
    for index, (_, height, _) in enumerate(shapes):
        if height * _FINEST_PX <= image_size or index == len(shapes) - 1:
            last[height] = index
    return [last[height] for height in sorted(last, reverse=True)]


def _smoothing() -> nn.Sequential:
    """Takes off the steps of the coarser map, at the cost of a depthwise convolution."""
    return nn.Sequential(
        nn.Conv2d(_WIDTH, _WIDTH, 5, padding=2, groups=_WIDTH, bias=False),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
        nn.Conv2d(_WIDTH, _WIDTH, 1, bias=False),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
    )


def _centres(feature_map: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "place 2"]:
    """Centres of the map's places, row by row, in sides of the crop."""
    height, width = feature_map.shape[-2:]
    rows = (torch.arange(height, device=feature_map.device, dtype=feature_map.dtype) + 0.5) / height
    columns = (torch.arange(width, device=feature_map.device, dtype=feature_map.dtype) + 0.5) / width
    return torch.stack((columns.repeat(height), rows.repeat_interleave(width)), dim=-1)
