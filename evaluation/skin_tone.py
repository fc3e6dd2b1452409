"""Apparent skin tone of a photograph, to see whom a model serves worse.

It is what the picture shows, light and exposure included, not what the person's skin is: an underexposed light face
counts as dark. Good enough to see a gap between groups, not to say anything of one picture.
"""

import numpy as np
from jaxtyping import Float
from skimage.color import rgb2lab

TONE_GROUPS: tuple[tuple[str, float, float], ...] = (
    ("light (above 41)", 41.0, 90.1),
    ("intermediate (28 to 41)", 28.0, 41.0),
    ("tan (10 to 28)", 10.0, 28.0),
    ("brown (-30 to 10)", -30.0, 10.0),
    ("dark (below -30)", -90.1, -30.0),
)
"""Name, least and largest individual typology angle in degrees; Chardon's classes, very light and light joined."""


def typology_angle_degrees(colors_srgb: Float[np.ndarray, "pixel 3"]) -> float:
    """Individual typology angle, atan((L* - 50) / b*) (Chardon et al., "Skin colour typology", 1991).

    Args:
        colors_srgb: Skin, in [0, 1]; the median is taken, so that brows and highlights do not count.

    Returns:
        Degrees in (-90, 90); larger is lighter.
    """
    lightness, _, yellow = np.median(rgb2lab(colors_srgb[None].astype(np.float64))[0], axis=0)
    # Skin is never blue: a cast that makes it so is the camera's.
    return float(np.degrees(np.arctan2(lightness - 50.0, max(yellow, 1e-3))))
