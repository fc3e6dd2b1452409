"""What a photograph shows on lips and lids that is not theirs, for no fit is exact: teeth, whites, the dark."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_BRIGHTER, _PALER = 1.1, 0.75
"""Teeth and whites are brighter than the skin beside them by more than this factor, with less of a colour than this."""
_DARKER, _DIMMER = 0.55, 0.8
_FEWEST_SURE = 20


@dataclass(frozen=True)
class ForeignColors:
    """Vertices whose colour is not that of the skin which they belong to.

    Attributes:
        pale: Brighter and paler: teeth, whites, highlights.
        dark: Much darker: lashes, irises, the inside of a mouth.
        dim: Darker, the dark ones among them: also the shadow of lashes.
    """

    pale: Bool[np.ndarray, " vertex"]
    dark: Bool[np.ndarray, " vertex"]
    dim: Bool[np.ndarray, " vertex"]


def foreign_colors(
    photograph: Float[np.ndarray, "vertex 3"], region: Bool[np.ndarray, " vertex"], sure: Bool[np.ndarray, " vertex"]
) -> ForeignColors:
    """Compare a region with what most of it looks like.

    Args:
        photograph: Colour that the photograph shows at each vertex.
        region: Where to look: lips, or lids.
        sure: Which of its vertices are seen well; nothing is foreign where they are too few.
    """
    if (region & sure).sum() < _FEWEST_SURE:
        return ForeignColors(np.zeros_like(region), np.zeros_like(region), np.zeros_like(region))
    common = np.median(photograph[region & sure], axis=0)
    share = photograph.mean(1) / max(float(common.mean()), 1e-3)
    return ForeignColors(
        region & pale_beside(photograph, common), region & (share < _DARKER), region & (share < _DIMMER)
    )


def pale_beside(colors: Float[np.ndarray, "*place 3"], common: Float[np.ndarray, "3"]) -> Bool[np.ndarray, "*place"]:
    """Which colours are brighter and paler than a common one."""
    brightest = np.maximum(colors.max(-1), 0.05)
    saturation = (colors.max(-1) - colors.min(-1)) / brightest
    of_common = float(np.ptp(common)) / max(float(common.max()), 0.05)
    return (colors.mean(-1) > _BRIGHTER * common.mean()) & (saturation < _PALER * of_common + 0.03)
