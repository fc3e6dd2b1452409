"""Scaling, turning and shifting points, and the motion of that kind which carries points onto others."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Similarity:
    """A scale, a turn and a shift: `scale * rotation @ point + translation_mm`.

    Attributes:
        scale: Positive; 1 for a rigid motion.
        rotation: A proper rotation.
        translation_mm: The shift.
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation_mm: Float[np.ndarray, "3"]

    def apply(self, points_mm: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        """Carry points there."""
        return self.scale * np.asarray(points_mm, np.float64) @ self.rotation.T + self.translation_mm

    def undo(self, points_mm: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        """Carry points back."""
        return (np.asarray(points_mm, np.float64) - self.translation_mm) @ self.rotation / self.scale

    def after(self, first: "Similarity") -> "Similarity":
        """The similarity that does `first` and then this one."""
        shift_mm = self.apply(first.translation_mm[None])[0]
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, shift_mm)


def align_landmarks(
    points_mm: Float[np.ndarray, "point 3"], target_mm: Float[np.ndarray, "point 3"], *, scaled: bool
) -> Similarity:
    """The similarity, or the rigid motion, that carries points onto their targets with the least squared error.

    Args:
        points_mm: Three points or more, not all on a line.
        target_mm: Where to; point i belongs to point i.
        scaled: Whether the scale is free, too.
    """
    center_mm, target_center_mm = points_mm.mean(0), target_mm.mean(0)
    moved_mm, wanted_mm = points_mm - center_mm, target_mm - target_center_mm
    rotation = Rotation.align_vectors(wanted_mm, moved_mm)[0].as_matrix()
    turned_mm = moved_mm @ rotation.T
    scale = float((wanted_mm * turned_mm).sum() / np.square(turned_mm).sum()) if scaled else 1.0
    return Similarity(scale, rotation, target_center_mm - scale * rotation @ center_mm)
