"""`LandmarkFitConfig`: the settings of stage 0."""

from dataclasses import dataclass
from typing import Literal

from common.ranges import POSITIVE, checked
from model.refine.landmarks.solver import Robust


@dataclass(frozen=True)
@checked("landmarks.", {POSITIVE: ("noise", "identity_sd", "expression_sd")})
class LandmarkFitConfig:
    """How landmarks are weighed against what is known of heads.

    Attributes:
        noise: Standard deviation of a landmark's coordinate over the size of the face (square root of the box's area).
        robust: How residuals beyond four of these count: hardly (geman_mcclure), linearly (huber) or fully (none).
        jaw: `true` where the points of the hidden jaw are those of the skull (iBUG in 3D, the network, AFLW2000-3D),
            `contour` where they slide along the visible outline (2D detectors).
        identity_sd: Standard deviation of the identity about the start's, in sd of the head's statistics; from the
            mean head it is 1.
        expression_sd: Standard deviation of an expression weight about the start's; about 0, from the mean head, it
            is 0.25.
        focal: `fixed` keeps the crop's camera; `estimate` lets the focal length go. A near head of small features
            and a far one of large features look nearly alike: an estimate rests on its prior more than on the picture.
    """

    noise: float = 0.02
    robust: Robust = "geman_mcclure"
    jaw: Literal["true", "contour"] = "true"
    identity_sd: float = 0.5
    expression_sd: float = 0.15
    focal: Literal["fixed", "estimate"] = "fixed"
