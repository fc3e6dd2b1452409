"""Mirror images of ARKit's blendshapes, and what MediaPipe's readings of them are worth."""

import numpy as np
from jaxtyping import Float, Float32

from common.blendshapes import BLENDSHAPE_NAMES, BLENDSHAPES

__all__ = ["BLENDSHAPES", "BLENDSHAPE_MIRROR", "BLENDSHAPE_NAMES", "calibrated"]


def _mirrored(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


BLENDSHAPE_MIRROR = np.array([BLENDSHAPE_NAMES.index(_mirrored(name)) for name in BLENDSHAPE_NAMES])
"""Blendshape i of the mirrored face is blendshape BLENDSHAPE_MIRROR[i] of the face."""

_NEUTRAL_READING = {"eyeSquint": 0.25, "browOuterUp": 0.10, "eyeBlink": 0.07}
"""Median of MediaPipe's readings on 1,644 near-frontal photographs of faces at rest, where it is above 0.05 and is no
gaze: people look somewhere, but they do not squint at rest."""


_FULL_READING = {"eyeBlink": 0.6}
"""What it says of shut eyes, where that is not 1: looked at, eyes are shut in nearly all photographs above."""


_OPPOSITE_GAZES = (("eyeLookIn", "eyeLookOut"), ("eyeLookUp", "eyeLookDown"))


def _one_gaze(weights: Float[np.ndarray, "*photograph 52"]) -> Float[np.ndarray, "*photograph 52"]:
    """Each eye looks one way: of two opposite readings, which MediaPipe gives at once, the difference is left."""
    weights = weights.copy()
    for pair in _OPPOSITE_GAZES:
        for side in ("Left", "Right"):
            first, second = (BLENDSHAPE_NAMES.index(stem + side) for stem in pair)
            difference = weights[..., first] - weights[..., second]
            weights[..., first], weights[..., second] = difference.clip(min=0.0), (-difference).clip(min=0.0)
    return weights


def calibrated(readings: Float[np.ndarray, "*photograph 52"]) -> Float32[np.ndarray, "*photograph 52"]:
    """MediaPipe's readings with 0 where a face is at rest, 1 where a shape is complete, and one gaze of each eye."""
    rest, full = (
        np.array([next((v for stem, v in table.items() if n.startswith(stem)), other) for n in BLENDSHAPE_NAMES])
        for table, other in ((_NEUTRAL_READING, 0.0), (_FULL_READING, 1.0))
    )
    return _one_gaze(((readings - rest) / (full - rest)).clip(0.0, 1.0)).astype(np.float32)
