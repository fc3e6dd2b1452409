"""`RasterFitConfig`: the settings of stage 1."""

from dataclasses import dataclass
from typing import Literal

from common.ranges import AT_LEAST_ONE, POSITIVE, Range, checked


@dataclass(frozen=True)
@checked(
    "raster.",
    {Range(16): ("sizes_px",), AT_LEAST_ONE: ("steps",), POSITIVE: ("identity_sd", "expression_sd", "albedo_sd")},
)
class RasterFitConfig:
    """What a picture of a face is weighed against, and how long.

    Attributes:
        sizes_px: Sides of the pictures compared, coarse to fine; those beyond the crop's are left out.
        steps: Steps of gradient descent at each size.
        photometric: Weight of the mean robust distance in sRGB units.
        landmarks: Weight of the landmarks' mean distance over the size of the face.
        prior: Weight of half a squared standard deviation of any coefficient.
        identity_sd: Standard deviation of the identity about the start's, in sd of the head's statistics.
        expression_sd: Standard deviation of an expression weight about the start's.
        albedo_sd: Standard deviation of the albedo about the start's: its tone is the network's to tell, a photograph
            shows only the product with the light. A start without any albedo of its own (no network) has 1 about 0.
        tone: Weight of the squared change of the face's mean log albedo, sum over the channels: a brighter skin in
            dimmer light makes the same picture, and what the photograph seems to say of it is chance.
        offsets: Per-vertex displacements along the normals: keep the start's, drop them, or refine them.
        albedo_residual: Per-vertex albedo beyond the components: drop the start's (it holds shadows), keep it, or learn
            it anew, smooth and small.
        focal: `estimate` lets the focal length go, see `LandmarkFitConfig`.
        recognition_feature: Weight of one minus the likeness that a recognition network sees (GANFit); 0 leaves it out.
    """

    sizes_px: tuple[int, ...] = (64, 128, 256)
    steps: tuple[int, ...] = (40, 60, 40)
    photometric: float = 1.0
    landmarks: float = 0.5
    prior: float = 1e-4
    identity_sd: float = 0.5
    expression_sd: float = 0.15
    albedo_sd: float = 0.4
    tone: float = 0.3
    offsets: Literal["keep", "drop", "refine"] = "refine"
    albedo_residual: Literal["keep", "drop", "learn"] = "learn"
    focal: Literal["fixed", "estimate"] = "fixed"
    recognition_feature: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: Naming the option.
        """
        if not self.sizes_px or len(self.sizes_px) != len(self.steps):
            raise ValueError(f"raster.sizes_px {self.sizes_px} and raster.steps {self.steps}: expected as many of each")
        if list(self.sizes_px) != sorted(self.sizes_px):
            raise ValueError(f"raster.sizes_px is {self.sizes_px}: expected ascending sizes")
