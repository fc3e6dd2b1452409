"""The settings of the network, apart from what they make: a command line is read without torch."""

from dataclasses import dataclass

from common.ranges import AT_LEAST_ONE, POSITIVE, checked


@dataclass(frozen=True)
@checked("encoder.")
class EncoderConfig:
    """Which backbone, and what it starts from.

    Attributes:
        backbone: A timm model name (`timm.list_models()`), convolutional or transformer.
        pretrained: `timm` downloads timm's own ImageNet weights, a path names a local safetensors file with timm's
            tensor names, `none` starts from random weights.
        points: Whether a decoder on the feature maps says where the head's points lie, to which the answer is then
            moved; without it the answer is read from pooled features alone, which do not tell places apart.
        aligned_look: Whether the answer is then corrected by the features under its own points; needs `points`.
    """

    backbone: str = "tf_efficientnet_lite0"
    pretrained: str = "none"
    points: bool = False
    aligned_look: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if self.aligned_look and not self.points:
            raise ValueError("encoder.aligned_look looks at points, which encoder.points switches on: it is false")


@dataclass(frozen=True)
@checked(
    "detail.",
    {AT_LEAST_ONE: ("channels", "order"), POSITIVE: ("largest_normal_mm", "largest_tangent_mm", "largest_albedo")},
)
class DetailConfig:
    """The mesh decoder.

    Attributes:
        channels: Features per vertex, for the mesh itself and each level below it.
        order: Chebyshev polynomials of each graph layer.
        largest_normal_mm: Bound of the offsets along the normal.
        largest_tangent_mm: Bound of the offsets along each tangent.
        largest_albedo: Bound of what is added to the albedo beside the sampled residual.
    """

    channels: tuple[int, ...] = (16, 32, 64, 96, 96)
    order: int = 3
    largest_normal_mm: float = 6.0
    largest_tangent_mm: float = 3.0
    largest_albedo: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if len(self.channels) < 2:
            raise ValueError(f"detail.channels is {self.channels}: expected two numbers or more")
