"""Plausible facial expressions as weights of ARKit's blendshapes.

Real faces move few muscles at a time, both sides alike, and never two opposite ones: a face cannot smile and frown, or
open its lids wide while it shuts them. Uniformly random weights look like none of us.
"""

import numpy as np
from jaxtyping import Float32

from data.synthetic.scene import truncated_normal

_NEUTRAL_CHANCE = 0.15
_ACTIVE_CHANCE = 0.22
_ONE_SIDED_CHANCE = 0.15
_SHUT_CHANCE = 0.25
"""Of heads with an eye shut: few photographs have one, and what lids do is learned from drawings."""

_OPPOSITES = (
    ("mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel"),
    ("mouthPucker", "mouthStretch", "mouthDimple"),
    ("browDown", "browOuterUp"),
    ("eyeWide", "eyeSquint"),
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    ("mouthRollLower", "mouthShrugLower", "mouthLowerDown"),
    ("mouthRollUpper", "mouthUpperUp"),
    ("mouthPress", "mouthFunnel", "mouthUpperUp"),
    ("cheekPuff", "mouthStretch", "mouthFunnel", "mouthUpperUp", "mouthLowerDown"),
)
"""Shapes of which at most one moves at a time, by their names without the side."""

_JOINT = ("jawOpen", "mouthClose", "tongueOut", "eyeBlink", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeLookDown")
"""Shapes that hang together and are drawn by rules of their own."""


def draw_expression(generator: np.random.Generator, names: tuple[str, ...]) -> Float32[np.ndarray, " expression"]:
    """Draw weights in [0, 1] for the named blendshapes.

    Args:
        generator: Randomness.
        names: ARKit's names, in the order of the head; a name that is not ARKit's moves by itself.
    """
    drawn: dict[str, float] = _gaze(generator)
    if generator.random() > _NEUTRAL_CHANCE:
        drawn |= _muscles(generator, names) | _jaw(generator)
    drawn |= _lids(generator, drawn)
    if drawn.get("cheekPuff", 0.0) > 0.1:
        # Cheeks hold air only behind closed lips.
        drawn |= {"jawOpen": 0.0, "mouthClose": 0.0, "tongueOut": 0.0}
    return np.array([min(max(drawn.get(name, 0.0), 0.0), 1.0) for name in names], np.float32)


def _muscles(generator: np.random.Generator, names: tuple[str, ...]) -> dict[str, float]:
    """A few shapes, opposites excluded, both sides nearly alike unless one moves alone."""
    stems = sorted({_stem(name, names) for name in names} - set(_JOINT))
    moving: list[str] = []
    for index in generator.permutation(len(stems)):
        opposed = any(stems[index] in group and set(group) & set(moving) for group in _OPPOSITES)
        if generator.random() < _ACTIVE_CHANCE and not opposed:
            moving.append(stems[index])
    weights: dict[str, float] = {}
    for stem in moving:
        strength = float(generator.beta(1.2, 2.0))
        if stem in names:
            weights[stem] = strength
            continue
        sides = {side: strength * (1.0 + truncated_normal(generator, 0.12, 0.3)) for side in ("Left", "Right")}
        if generator.random() < _ONE_SIDED_CHANCE:
            sides[str(generator.choice(["Left", "Right"]))] *= float(generator.uniform(0.0, 0.4))
        weights |= {f"{stem}{side}": value for side, value in sides.items()}
    return weights


def _stem(name: str, names: tuple[str, ...]) -> str:
    """`mouthSmile` of `mouthSmileLeft`, but `mouthLeft` itself, whose side is a direction."""
    for side, other in (("Left", "Right"), ("Right", "Left")):
        stem = name.removesuffix(side)
        # mouthLeft, mouthRight, jawLeft, jawRight move the whole mouth or jaw sidewards.
        if stem != name and stem + other in names and stem not in ("mouth", "jaw"):
            return stem
    return name


def _jaw(generator: np.random.Generator) -> dict[str, float]:
    """How far the jaw is open, and whether the lips stay closed over it or the tongue shows."""
    if generator.random() < 0.5:
        return {}
    opened = float(generator.beta(1.2, 2.2))
    kind = generator.random()
    if kind < 0.2:
        # mouthClose closes the lips of an open jaw, so it never exceeds jawOpen.
        return {"jawOpen": opened, "mouthClose": opened * float(generator.uniform(0.5, 1.0))}
    if kind < 0.26 and opened > 0.25:
        return {"jawOpen": opened, "tongueOut": float(generator.uniform(0.3, 1.0))}
    return {"jawOpen": opened}


def _gaze(generator: np.random.Generator) -> dict[str, float]:
    """Both eyes look at one place: to the subject's left is out for the left eye and in for the right one."""
    to_left = truncated_normal(generator, 0.3, 0.9)
    up = truncated_normal(generator, 0.2, 0.7)
    out, inward = max(to_left, 0.0), max(-to_left, 0.0)
    weights = {"eyeLookOutLeft": out, "eyeLookInRight": out, "eyeLookInLeft": inward, "eyeLookOutRight": inward}
    for side in ("Left", "Right"):
        weights |= {f"eyeLookUp{side}": max(up, 0.0), f"eyeLookDown{side}": max(-up, 0.0)}
    return weights


def _lids(generator: np.random.Generator, drawn: dict[str, float]) -> dict[str, float]:
    """The lids follow the gaze down; sometimes both eyes are shut, or one winks."""
    kinds = {"open": (), "shut": ("Left", "Right"), "wink left": ("Left",), "wink right": ("Right",)}
    chances = [1.0 - _SHUT_CHANCE, 0.5 * _SHUT_CHANCE, 0.25 * _SHUT_CHANCE, 0.25 * _SHUT_CHANCE]
    shut_sides = kinds[str(generator.choice(list(kinds), p=chances))]
    resting = abs(truncated_normal(generator, 0.08, 0.3))
    lids: dict[str, float] = {}
    for side in ("Left", "Right"):
        lids[f"eyeBlink{side}"] = resting + 0.4 * drawn.get(f"eyeLookDown{side}", 0.0)
        if side in shut_sides:
            lids |= {f"eyeBlink{side}": float(generator.uniform(0.75, 1.0)), f"eyeWide{side}": 0.0}
    return lids
