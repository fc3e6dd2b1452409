"""`Detection`: what a detector says of one face. Apart from the detector, so that using one does not load a network."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, eq=False)
class Detection:
    """A face found in a photograph, in its px.

    Attributes:
        box_px: Left, top, right, bottom; may reach over the border.
        points_px: Image-left eye, image-right eye, nose, image-left and image-right corner of the mouth.
        score: Confidence in [0, 1].
    """

    box_px: Float32[np.ndarray, "4"]
    points_px: Float32[np.ndarray, "5 2"]
    score: float

    @property
    def area_px(self) -> float:
        """Area of the box."""
        width, height = self.box_px[2:] - self.box_px[:2]
        return float(width * height)
