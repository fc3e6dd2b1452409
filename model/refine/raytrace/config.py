"""Settings of the ray-traced stage."""

import math
from dataclasses import dataclass, field
from typing import Literal

from common.ranges import AT_LEAST_ONE, Range, checked
from model.refine.raytrace.sclera import ScleraConfig


@dataclass(frozen=True)
@checked(
    "light.",
    {
        Range(1, 9): ("bands",),
        Range(6): ("gaussians", "wide_gaussians"),
        Range(20): ("lamps",),
        Range(64): ("directions",),
    },
)
class LightConfig:
    """What the light may look like.

    Attributes:
        kind: `harmonics`: an environment in spherical harmonics; `gaussians`: an environment of non-negative lobes;
            `stage`: a light stage of non-negative area lights around the head, with a uniform environment.
        bands: Bands of the harmonics, 1 to 9.
        gaussians: Lobes. Shadow edges are as sharp as the lobes are narrow.
        wide_gaussians: Lobes for reflected and bounced light.
        lamps: Area lights of the stage, at least 20.
        directions: Directions in which visibility is traced.
        visibility: Trace shadows; without, every light reaches everything that faces it.
        bounce: Add light that the head throws back at itself once.
    """

    kind: Literal["harmonics", "gaussians", "stage"] = "gaussians"
    bands: int = 9
    gaussians: int = 512
    wide_gaussians: int = 64
    lamps: int = 40
    directions: int = 1024
    visibility: bool = True
    bounce: bool = True


@dataclass(frozen=True)
@checked("weights.")
class RaytraceWeights:
    """Weights of the terms; the data term, mean distance in sRGB per pixel, has weight 1.

    Attributes:
        coefficients: Squared distance of the albedo coefficients from the start, mean over the coefficients, sd^2, and
            of the albedo that they make, mean over the face.
        tone: Squared log of the skin's mean colour over the start's, sum over the channels. What holds the skin's
            tone: a photograph does not tell a dark skin in bright light from a light skin in dim light.
        white_light: Squared chroma of the light as a whole over its strength.
        lamp_chroma: Squared chroma of single lights over the strength of all.
        sparsity: Share of the light outside its mean: square root of the lights' strengths, which few strong lights
            have less of than many weak ones. Only for lights that cannot be negative.
        negative: Squared negative radiance over the mean radiance. Only for harmonics.
        band: Squared harmonics times the fourth power of their band. Only for harmonics.
        smoothness: Mean absolute step of the log albedo between neighbouring texels, of a texture of 256 px.
        symmetry: Mean absolute difference of the log albedo and its mirror image.
        prior: Squared log of the texture over the statistical albedo, coarse scales only.
        consistency: Squared log of the texture over the statistical albedo, every texel; its chroma counts more.
        regions: Squared distance of regional specular and roughness values from the statistical ones, log.
    """

    coefficients: float = 0.002
    tone: float = 0.2
    white_light: float = 0.02
    lamp_chroma: float = 0.01
    sparsity: float = 0.002
    negative: float = 0.1
    band: float = 1e-4
    smoothness: float = 0.03
    symmetry: float = 0.03
    prior: float = 0.02
    consistency: float = 0.003
    regions: float = 0.01


@dataclass(frozen=True)
@checked(
    ranges={
        Range(16): ("texture_px",),
        AT_LEAST_ONE: ("rounds", "light_samples"),
        # Below 0, an answer that explains the photograph less well is kept too.
        Range(-math.inf): ("least_gain_db",),
    }
)
class RaytraceConfig:
    """Settings of the ray-traced stage.

    Attributes:
        light: The light.
        weights: The terms.
        texture_px: Side of the maps that are written.
        rounds: How often light and texture are found in turns.
        light_steps: Steps of each round for light and albedo coefficients.
        texture_steps: Steps of each round for the texture.
        material_steps: Steps of each round for regional specular and roughness.
        light_samples: Samples of the face that the light is found from.
        materials: `held`: statistical specular and roughness; `regions`: a few regional values on them; `free`: maps
            over the texture, which one photograph does not determine.
        sclera: How far the white of the eyes corrects the skin's tone; None to leave it as the start has it.
        least_gain_db: Masked PSNR that light with shadows must have over the start's light, both with a statistical
            albedo, for the answer to be kept.
        most_loss_db: Masked PSNR that the answer may have below the start's, which may have shadows in its albedo.
        enough_db: Masked PSNR that is good enough whatever the start's is: in a small picture its albedo by vertex
            repeats every pixel.
        seed: Of every random choice.
    """

    light: LightConfig = field(default_factory=LightConfig)
    weights: RaytraceWeights = field(default_factory=RaytraceWeights)
    texture_px: int = 512
    rounds: int = 2
    light_steps: int = 80
    texture_steps: int = 80
    material_steps: int = 30
    light_samples: int = 6000
    materials: Literal["held", "regions", "free"] = "regions"
    sclera: ScleraConfig | None = field(default_factory=ScleraConfig)
    least_gain_db: float = 0.1
    most_loss_db: float = 2.5
    enough_db: float = 33.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the setting.
        """
        if self.texture_px & (self.texture_px - 1):
            raise ValueError(f"texture_px is {self.texture_px}: expected a power of two")
