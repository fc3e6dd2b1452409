"""`Appearance`: what the ray-traced stage found out about skin and light, as it is written to files."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Lamp:
    """One area light of a light stage: a disc that faces the head.

    Attributes:
        position_mm: Centre, camera space.
        radius_mm: Radius of the disc.
        radiance_linear: Linear RGB, 0 or more.
    """

    position_mm: Float[np.ndarray, "3"]
    radius_mm: float
    radiance_linear: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Appearance:
    """Maps over the head's texture space (row 0 is the top, v = 1) and the light of the photograph.

    Attributes:
        diffuse_linear: Diffuse albedo, linear RGB in [0, 1].
        specular_f0: Reflectance at normal incidence, [0, 1]; skin is about 0.04.
        roughness: GGX alpha = roughness squared, roughness in [0, 1] as in glTF.
        normal: Tangent-space normals as glTF has them, unit length; (0, 0, 1) where nothing was found.
        known: How far the photograph told the diffuse albedo, [0, 1]; the rest is statistics and symmetry.
        environment_linear: Radiance of the distant light in camera space, latitude-longitude: row 0 looks up (+y),
            the middle column looks along -z (away from the camera, behind the head), columns go on towards +x.
        lamps: The area lights, if the light is a light stage; their light is not part of the environment.
        tone_sd: Standard deviation of the albedo's common factor (log), which one photograph hardly tells.
    """

    diffuse_linear: Float[np.ndarray, "texture texture 3"]
    specular_f0: Float[np.ndarray, "texture texture"]
    roughness: Float[np.ndarray, "texture texture"]
    normal: Float[np.ndarray, "texture texture 3"]
    known: Float[np.ndarray, "texture texture"]
    environment_linear: Float[np.ndarray, "rows columns 3"]
    lamps: tuple[Lamp, ...]
    tone_sd: float
