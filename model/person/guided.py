"""Smoothing that keeps to the edges of a picture."""

import cv2
import numpy as np
from jaxtyping import Float


def guided_filter(
    guide: Float[np.ndarray, "height width"], values: Float[np.ndarray, "height width"], radius: int, epsilon: float
) -> Float[np.ndarray, "height width"]:
    """Smooth values, but not across the edges of a grey picture (He et al., "Guided Image Filtering", ECCV 2010)."""
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.blur(image, side, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide**2
    slope = (mean(guide * values) - mean_guide * mean_values) / (variance + epsilon)
    return mean(slope) * guide + mean(mean_values - slope * mean_guide)
