"""`FaceTrack`: how one person's head moves through a film, as numpy arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from model.geometry.rotation import euler_from_rotation


@dataclass(frozen=True)
class FaceTrack:
    """The frames in which a person is seen; who it is does not change.

    Attributes:
        frame: Numbers of the frames, growing; not all of a film need be there.
        time_s: When they are shown, strictly growing.
        frames_per_second: Of the film, on average.
        expression_names: ARKit's names of the weights.
        expression: Blendshape weights in [0, 1].
        rotation: Model space to camera space.
        translation_mm: Model origin in camera space.
        confidence: Probability in [0, 1] that each is right; NaN where nothing is known of it.
    """

    frame: Int[np.ndarray, " frame"]
    time_s: Float[np.ndarray, " frame"]
    frames_per_second: float
    expression_names: tuple[str, ...]
    expression: Float[np.ndarray, "frame expression"]
    rotation: Float[np.ndarray, "frame 3 3"]
    translation_mm: Float[np.ndarray, "frame 3"]
    confidence: Float[np.ndarray, " frame"]

    def __len__(self) -> int:
        """How many frames."""
        return len(self.frame)

    @property
    def yaw_pitch_roll_rad(self) -> Float[np.ndarray, "frame 3"]:
        """The head's pose in radians, see `model.geometry.rotation`."""
        return euler_from_rotation(torch.from_numpy(self.rotation.astype(np.float64))).numpy()

    def weights_of(self, names: tuple[str, ...]) -> Float[np.ndarray, "frame expression"]:
        """The weights in another head's order; 0 for what this track does not know.

        Args:
            names: That head's expressions.
        """
        places = {name: number for number, name in enumerate(self.expression_names)}
        nothing = np.zeros(len(self), self.expression.dtype)
        return np.stack([self.expression[:, places[name]] if name in places else nothing for name in names], axis=1)
