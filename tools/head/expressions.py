"""What the source's expressions lack: eyeballs that turn with the gaze, lids that meet, a tongue that comes out."""

import numpy as np
from jaxtyping import Bool, Float

from model.face.skeleton import eyeball_centre

_LARGEST_TURN_DEG = {"Up": 25.0, "Down": 30.0, "In": 30.0, "Out": 30.0}
"""Turn of an eyeball at weight 1; ARKit leaves it open, these are about the limits of the human eye in use."""

_TONGUE_TRAVEL_MM, _TONGUE_LIFT_MM, _TONGUE_FLATTENING = 30.0, 3.0, 0.7
_TONGUE_THICKNESS_MM = 22.0
_TONGUE_ROOT_SHARE = 0.3
"""Share of the tongue's length, from its root, that stays in place."""

BLINK_GAIN = 1.14
"""On the source's mean head a full blink leaves 0.9 to 1.3 mm of the eye open; ARKit's closes it."""


def gaze_shapes(
    names: tuple[str, ...],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    eyeballs: dict[str, Bool[np.ndarray, " vertex"]],
) -> Float[np.ndarray, "expression vertex 3"]:
    """Displacements that turn the eyeballs about their centres, to be added to the source's lids.

    Args:
        names: ARKit's expression names, in order.
        vertices_mm: Mean head.
        eyeballs: Vertices by side, `Left` and `Right`.
    """
    shapes = np.zeros((len(names), *vertices_mm.shape), np.float32)
    for side, eyeball in eyeballs.items():
        points = vertices_mm[eyeball].astype(np.float64)
        local = points - eyeball_centre(points)
        inwards = -1.0 if side == "Left" else 1.0
        turns = {"Up": (-1.0, 0.0), "Down": (1.0, 0.0), "In": (0.0, inwards), "Out": (0.0, -inwards)}
        for direction, (pitch, yaw) in turns.items():
            angle = np.deg2rad(_LARGEST_TURN_DEG[direction])
            turn = _rotation(pitch * angle, yaw * angle)
            shapes[names.index(f"eyeLook{direction}{side}"), eyeball] = local @ turn.T - local
    return shapes


def _rotation(pitch_rad: float, yaw_rad: float) -> Float[np.ndarray, "3 3"]:
    cp, sp, cy, sy = np.cos(pitch_rad), np.sin(pitch_rad), np.cos(yaw_rad), np.sin(yaw_rad)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    return about_y @ about_x


def tongue_out(
    vertices_mm: Float[np.ndarray, "vertex 3"], tongue: Bool[np.ndarray, " vertex"]
) -> Float[np.ndarray, "vertex 3"]:
    """Displacement of `tongueOut` at weight 1: forwards, most at the tip, flattened so that it clears the lower teeth.

    Meant for an open jaw, as ARKit uses it.
    """
    shape = np.zeros_like(vertices_mm, dtype=np.float32)
    points = vertices_mm[tongue]
    back, tip = points[:, 2].min(), points[:, 2].max()
    root = back + _TONGUE_ROOT_SHARE * (tip - back)
    along = np.clip((points[:, 2] - root) / (tip - root), 0.0, 1.0)
    share = along**2 * (3.0 - 2.0 * along)
    top = points[:, 1].max()
    # The floor of the mouth, its lower side, stays behind.
    share *= np.clip((points[:, 1] - top + _TONGUE_THICKNESS_MM) / 6.0, 0.0, 1.0)
    shape[tongue, 1] = share * (_TONGUE_LIFT_MM + _TONGUE_FLATTENING * (top - points[:, 1]))
    shape[tongue, 2] = share * _TONGUE_TRAVEL_MM
    return shape
