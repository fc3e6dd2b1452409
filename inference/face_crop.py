"""The window of a photograph that a face is fitted in, and the way back to the photograph."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.photograph import has_color
from data.alignment import CropWindow, crop_image, transform_points, window_from_landmarks
from model.geometry.camera import crop_intrinsics
from model.refine.face import FaceCrop

WINDOW_OVER_TRAINING = 1.25
"""Side of the window over that of the network's crop, which cuts off forehead and chin of many faces."""


@dataclass(frozen=True)
class Landmarks:
    """iBUG's 68 points in a photograph.

    Attributes:
        points_px: x and y.
        weight: 0 where a point is unknown, up to 1.
    """

    points_px: Float[np.ndarray, "68 2"]
    weight: Float[np.ndarray, " 68"]


def cut_face(
    image_srgb: UInt8[np.ndarray, "height width 3"],
    landmarks: Landmarks,
    intrinsics_px: Float[torch.Tensor, "3 3"],
    size_px: int,
    device: torch.device,
) -> tuple[CropWindow, FaceCrop]:
    """Cut the whole face out of a photograph.

    Args:
        image_srgb: The photograph.
        landmarks: Where the face is.
        intrinsics_px: Camera of the photograph.
        size_px: Side of the cut.
        device: Where it is wanted.

    Raises:
        ValueError: If the known landmarks do not span an area.
    """
    window = window_from_landmarks(_known(landmarks)).enlarged(WINDOW_OVER_TRAINING)
    scale = size_px / window.side_px
    pixels = torch.from_numpy(crop_image(image_srgb, window, size_px))
    crop = FaceCrop(
        image_srgb=(pixels.permute(2, 0, 1).float() / 255.0).to(device),
        inside=torch.from_numpy(_inside(window, image_srgb.shape[:2], size_px)).to(device),
        # Of the face alone: its photograph may have a coloured frame.
        color=has_color(pixels.numpy()),
        intrinsics_px=crop_intrinsics(intrinsics_px, window.left_px, window.top_px, scale).to(device),
        landmarks68_px=torch.from_numpy(transform_points(window.to_crop(size_px), landmarks.points_px))
        .float()
        .to(device),
        landmarks68_weight=torch.from_numpy(landmarks.weight).float().to(device),
    )
    return window, crop


def photograph_intrinsics(
    intrinsics_px: Float[torch.Tensor, "3 3"], window: CropWindow, size_px: int
) -> Float[torch.Tensor, "3 3"]:
    """The camera of the photograph, from that of its window: the inverse of `crop_intrinsics`."""
    scale = size_px / window.side_px
    return crop_intrinsics(intrinsics_px, -window.left_px * scale, -window.top_px * scale, 1.0 / scale)


def _known(landmarks: Landmarks) -> Float[np.ndarray, "68 2"]:
    """The points, with those that are unknown in the middle of the others, where they widen no box."""
    known = landmarks.weight > 0.0
    if not known.any():
        raise ValueError("none of the 68 landmarks is known")
    return np.where(known[:, None], landmarks.points_px, landmarks.points_px[known].mean(0))


def _inside(window: CropWindow, shape: tuple[int, int], size_px: int) -> Float[np.ndarray, "size size"]:
    """1 where the centre of a pixel of the window lies in the photograph."""
    centers = (np.arange(size_px) + 0.5) * window.side_px / size_px
    x, y = window.left_px + centers, window.top_px + centers
    height, width = shape
    rows, columns = (y >= 0.0) & (y <= height), (x >= 0.0) & (x <= width)
    return (rows[:, None] & columns[None, :]).astype(np.float32)
