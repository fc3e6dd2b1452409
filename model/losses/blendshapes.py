"""Blendshape weights against labels, and against one another.

Photographs are labelled by a network that reads ARKit's weights off a face mesh. It is right about jaw, smiles, brows,
pucker and blinks of near-frontal faces; of some shapes it never speaks, which is weak evidence that they are not there.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.blendshapes import BLENDSHAPE_NAMES as _NAMES

_SQUARED_UP_TO = 0.2
"""Difference of weights from which on a label counts by its distance, not by its square: it may be wrong."""

_TRUST = {
    "eyeBlink": 8.0,
    "jawOpen": 2.0,
    "browInnerUp": 2.0,
    "eyeLook": 0.5,
    "eyeSquint": 0.5,
    "mouthClose": 0.3,
    "cheekPuff": 0.3,
    "cheekSquint": 0.3,
    "noseSneer": 0.3,
    "jawForward": 0.3,
    "tongueOut": 0.3,
}
"""Weight of a label by the start of its name, 1 for the others."""

_EMPHASIS = 1.0
"""How much more a shape counts that is complete: in most photographs most shapes are at rest, and shut eyes, pucker or
a lifted brow are rare."""

_TRUSTS = [next((trust for stem, trust in _TRUST.items() if name.startswith(stem)), 1.0) for name in _NAMES]

_OPPOSITE_STEMS = (
    ("eyeBlink", "eyeWide"),
    ("eyeSquint", "eyeWide"),
    ("eyeLookIn", "eyeLookOut"),
    ("eyeLookUp", "eyeLookDown"),
    ("mouthSmile", "mouthFrown"),
    ("mouthSmile", "mouthPucker"),
    ("mouthStretch", "mouthPucker"),
    ("browDown", "browOuterUp"),
    ("mouthRollLower", "mouthShrugLower"),
    ("mouthRollUpper", "mouthShrugUpper"),
    ("mouthRollLower", "mouthLowerDown"),
    ("mouthRollUpper", "mouthUpperUp"),
    ("mouthPress", "mouthFunnel"),
)
_OPPOSITE_NAMES = (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))


def _named(stem: str, side: str) -> int:
    name = stem if stem in _NAMES else stem + side
    return _NAMES.index(name)


_OPPOSITES = sorted(
    {tuple(_named(stem, side) for stem in pair) for pair in _OPPOSITE_STEMS for side in ("Left", "Right")}
    | {tuple(_NAMES.index(name) for name in pair) for pair in _OPPOSITE_NAMES}
)


def labelled_blendshapes(
    expression: Float[Tensor, "batch expression"],
    alphabetical: Int[Tensor, " blendshape"],
    labels: Float[Tensor, "batch 52"],
    sample_weight: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Huber distance of blendshape weights from labelled ones (Huber 1964).

    Args:
        expression: The answer, weights in [0, 1] in the head's order.
        alphabetical: Where the head has each of ARKit's 52, by alphabet; empty for another kind of head.
        labels: ARKit's weights by alphabet.
        sample_weight: Trust in each face's labels.

    Returns:
        A scalar in units of a difference of 1; 0 without labels, or without ARKit's shapes.
    """
    if len(alphabetical) == 0:
        return expression.sum() * 0.0
    difference = expression[:, alphabetical] - labels
    distance = torch.nn.functional.huber_loss(
        difference, torch.zeros_like(difference), delta=_SQUARED_UP_TO, reduction="none"
    )
    trust = distance.new_tensor(_TRUSTS)
    mean = (distance * trust * (1.0 + _EMPHASIS * labels)).sum(1) / (trust.sum() * _SQUARED_UP_TO)
    return (mean * sample_weight).sum() / sample_weight.sum().clamp(min=1e-6)


def opposites(
    expression: Float[Tensor, "batch expression"], alphabetical: Int[Tensor, " blendshape"]
) -> Float[Tensor, ""]:
    """Mean product of blendshapes that no face shows together: lids shut and wide, smile and frown.

    Args:
        expression: The answer, weights in [0, 1] in the head's order.
        alphabetical: Where the head has each of ARKit's 52, by alphabet; empty for another kind of head.
    """
    if len(alphabetical) == 0:
        return expression.sum() * 0.0
    weights = expression[:, alphabetical]
    first, second = torch.tensor(_OPPOSITES, device=weights.device).unbind(1)
    return (weights[:, first] * weights[:, second]).mean()
