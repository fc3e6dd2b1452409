"""Numba kernels that blend pixels by the contours of `model.render.cpu.contours`. One batch element per call.

Kernels call only kernels of their own file: numba's cache does not notice when a kernel of another file has changed.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from model.render.cpu.cache import CACHED


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def _blend_totals(pixels: np.ndarray, weights: np.ndarray, pixel_count: int) -> np.ndarray:
    """Sum of the weights into each pixel, (H W,)."""
    totals = np.zeros(pixel_count)
    for blend in range(pixels.shape[0]):
        totals[pixels[blend, 0]] += weights[blend]
    return totals


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def blend_forward(image: np.ndarray, pixels: np.ndarray, weights: np.ndarray, blended: np.ndarray) -> None:
    """Blend an image (H W, C) into `blended`, which comes as a copy of it."""
    totals = _blend_totals(pixels, weights, image.shape[0])
    for blend in range(pixels.shape[0]):
        into, of = pixels[blend]
        weight = weights[blend] / max(totals[into], 1.0)
        for channel in range(image.shape[1]):
            blended[into, channel] += weight * (image[of, channel] - image[into, channel])


@njit(cache=CACHED, nogil=True, error_model="numpy")
@no_type_check
def blend_backward(
    image: np.ndarray,
    blended: np.ndarray,
    pixels: np.ndarray,
    edges: np.ndarray,
    weights: np.ndarray,
    gradients: np.ndarray,
    grad_blended: np.ndarray,
    grad_image: np.ndarray,
    grad_vertices: np.ndarray,
) -> None:
    """Carry gradients of a blended image to the image and to the contours' vertices.

    Args:
        image: (H W, C) before blending.
        blended: (H W, C) after it.
        pixels: As `find_blends` returns them, like the three that follow.
        edges: Vertices of the contours.
        weights: Weights of the blends.
        gradients: Gradients of the weights.
        grad_blended: (H W, C).
        grad_image: (H W, C), output; comes as a copy of `grad_blended`.
        grad_vertices: (V, 3), output, added to.
    """
    totals = _blend_totals(pixels, weights, image.shape[0])
    for blend in range(pixels.shape[0]):
        into, of = pixels[blend]
        total = max(totals[into], 1.0)
        weight = weights[blend] / total
        grad_weight = 0.0
        for channel in range(image.shape[1]):
            gradient = grad_blended[into, channel]
            grad_image[into, channel] -= weight * gradient
            grad_image[of, channel] += weight * gradient
            # Scaled weights trade against each other: the derivative is then taken from the blend, not from the pixel.
            base = blended[into, channel] if total > 1.0 else image[into, channel]
            grad_weight += gradient * (image[of, channel] - base) / total
        for end in range(2):
            vertex = edges[blend, end]
            grad_vertices[vertex, 0] += grad_weight * gradients[blend, 2 * end]
            grad_vertices[vertex, 1] += grad_weight * gradients[blend, 2 * end + 1]
