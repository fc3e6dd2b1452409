"""Settings of stage 4, which moves vertices by shading."""

import math
from dataclasses import dataclass

_NOT_NEGATIVE = (
    "texture_rate",
    "stiffness",
    "size",
    "symmetry",
    "smoothness",
    "texture_smoothness",
    "texture_size",
    "tilt_rate",
    "tilt_smoothness",
)


@dataclass(frozen=True)
class ShapeConfig:
    """How far shading may move the shape, and when it is believed.

    Attributes:
        steps: Steps of gradient descent for heights and texture.
        directions: Directions in which visibility is traced; the light's change with the normal is smooth, so fewer
            than for the light itself.
        height_rate: Step of the unknowns behind the heights, mm before they are smoothed.
        texture_rate: Step of the log albedo.
        stiffness: The lambda of "large steps" preconditioning; how far neighbours move together.
        height_sd_mm: Standard deviation of a height along the vertex normal.
        size: Weight of half the mean squared height in standard deviations.
        symmetry: Weight of half the mean squared difference from the mirrored height in standard deviations; light from
            one side tells of that side alone.
        bend_sd_mm: Standard deviation of a height's difference from the mean of its neighbours.
        smoothness: Weight of half the mean squared difference in these.
        texture_smoothness: Weight of the mean absolute step of the log albedo, of a texture of 256 px.
        texture_size: Weight of the squared log albedo over the statistical one. Texture that gives way too easily
            takes the shading, one that does not makes bumps of freckles.
        normal_map: Also write shading that is finer than the mesh into a normal map, and take it out of the albedo.
        tilt_rate: Step of its normals, their length across over their length along.
        tilt_sd: Standard deviation of the same; weighted with `size`.
        tilt_smoothness: Weight of its mean absolute step, of a map of 256 px.
        least_gain_db: By how much the statistical PSNR, without texture, must be better for the shape to be kept.
        most_rms_mm: Root mean square height of the vertices that are seen beyond which a shape is refused.
        most_mm: Largest height beyond which it is refused.
    """

    steps: int = 120
    directions: int = 256
    height_rate: float = 0.3
    texture_rate: float = 0.02
    stiffness: float = 30.0
    height_sd_mm: float = 1.0
    size: float = 1e-2
    symmetry: float = 1e-2
    bend_sd_mm: float = 0.15
    smoothness: float = 1e-3
    texture_smoothness: float = 0.1
    texture_size: float = 0.02
    normal_map: bool = False
    tilt_rate: float = 0.005
    tilt_sd: float = 0.05
    tilt_smoothness: float = 0.02
    least_gain_db: float = 0.2
    most_rms_mm: float = 2.0
    most_mm: float = 6.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the setting.
        """
        if self.steps < 1 or self.directions < 64:
            raise ValueError("shape.steps must be at least 1 and shape.directions at least 64")
        for name in ("height_rate", "tilt_sd", "height_sd_mm", "bend_sd_mm", "most_rms_mm", "most_mm"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"shape.{name} is {getattr(self, name)}: expected a finite number above 0")
        for name in (
            "texture_rate",
            "stiffness",
            "size",
            "symmetry",
            "smoothness",
            "texture_smoothness",
            "texture_size",
        ):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"shape.{name} is {getattr(self, name)}: expected a finite number from 0 on")
