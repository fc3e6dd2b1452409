"""`PersonMask`: what the pixels of a photograph show about one head."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32

from model.person.classes import BACKGROUND, CLASS_NAMES


@dataclass(frozen=True)
class PersonMask:
    """Shares of `CLASS_NAMES` in a window of the photograph.

    Attributes:
        share: In [0, 1], 1 in sum.
        known: 1 where the window shows the photograph, 0 beyond its border.
        to_window: Matrix from the photograph's px to the window's.
    """

    share: Float32[np.ndarray, "size size kind"]
    known: Float32[np.ndarray, "size size"]
    to_window: Float[np.ndarray, "2 3"]

    def at(self, points_px: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point kind"]:
        """Shares at places of the photograph; all background beyond the window."""
        shape = points_px.shape[:-1]
        x, y = self._window_places(points_px)
        outside = (1.0 if kind == BACKGROUND else 0.0 for kind in range(len(CLASS_NAMES)))
        drawn = cv2.remap(
            self.share, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=tuple(outside)
        )
        return drawn.reshape(-1, len(CLASS_NAMES))[: int(np.prod(shape))].reshape(*shape, len(CLASS_NAMES))

    def known_at(self, points_px: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point"]:
        """1 within window and photograph, 0 beyond."""
        shape = points_px.shape[:-1]
        drawn = cv2.remap(self.known, *self._window_places(points_px), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return drawn.reshape(-1)[: int(np.prod(shape))].reshape(shape)

    def reaching(self, kind: int, radius_px: int = 4) -> "PersonMask":
        """The mask with a class grown into the background beside it, but not over other classes.

        What a surface shows at its outline is half background, whatever the surface is.
        """
        share = self.share.copy()
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
        grown = cv2.dilate(np.ascontiguousarray(share[..., kind]), kernel) * share[..., BACKGROUND]
        share[..., kind] += grown
        share[..., BACKGROUND] -= grown
        return PersonMask(share, self.known, self.to_window)

    def in_photograph(self, kind: int, height: int, width: int) -> Float32[np.ndarray, "height width"]:
        """The share of one class as a picture of the photograph's size."""
        border = 1.0 if kind == BACKGROUND else 0.0
        matrix = self.to_window.copy()
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        return cv2.warpAffine(
            np.ascontiguousarray(self.share[..., kind]),
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=border,
        )

    def _window_places(self, points_px: Float[np.ndarray, "*point 2"]) -> tuple[np.ndarray, np.ndarray]:
        # In rows of limited length: OpenCV's pictures have at most 32,767 columns.
        flat = points_px.reshape(-1, 2) @ self.to_window[:, :2].T + self.to_window[:, 2] - 0.5
        rows = -(-len(flat) // 4096)
        padded = np.full((rows * 4096, 2), -10.0, np.float32)
        padded[: len(flat)] = np.clip(flat, -1e4, 1e4)
        grid = padded.reshape(rows, 4096, 2)
        return grid[..., 0], grid[..., 1]
