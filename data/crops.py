"""From a stored face and a view of it to a `FaceSample`: pixels, points, mask and camera, all by one matrix."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32, Int, UInt8

from data.alignment import compose, transform_points, warp_image
from data.augment import View
from data.blendshapes import BLENDSHAPE_MIRROR, BLENDSHAPES
from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from data.masks import central_mask, skin_mask
from data.sample import LANDMARKS68, LANDMARKS478, RECOGNITION_EMBEDDING, FaceSample
from data.shards import ShardSample

PixelChange = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A change of a crop (uint8) and its mask (float32)."""


def make_sample(
    stored: ShardSample,
    view: View,
    size: int,
    *,
    border_srgb: Int[np.ndarray, "3"] | None = None,
    grey: bool = False,
    change: PixelChange | None = None,
) -> FaceSample:
    """See a stored face through a view.

    Args:
        stored: The face.
        view: How it is seen.
        size: Side of the crop.
        border_srgb: Colour beyond the photograph's border, 0..255; by default its outermost pixels are repeated, as in
            `data.alignment.crop_image`.
        grey: Take the colour away.
        change: What is done to the pixels at last.
    """
    image = warp_image(stored.patch_srgb, view.to_crop, size)
    inside = _inside(stored, view, size)
    if border_srgb is not None and not inside.all():
        image = np.where(inside[..., None], image, border_srgb.astype(np.uint8))
    landmarks68, landmarks478 = landmarks68_of(stored, view), landmarks478_of(stored, view)
    mask = _mask(stored, view, landmarks68, size) * inside
    color = stored.color and not grey
    if grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if change is not None:
        image, mask = change(image, mask)
    if not color:
        image = _without_tint(image)
    # Neither a mirror nor other colours make another person: the photograph's embedding stands for all its views.
    embedding = stored.recognition_embedding
    return FaceSample(
        image_srgb=np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255.0),
        color=color,
        intrinsics_px=view.intrinsics_px,
        landmarks68_px=np.zeros((LANDMARKS68, 3), np.float32) if landmarks68 is None else landmarks68,
        landmarks68_weight=stored.landmarks68_weight if landmarks68 is not None else 0.0,
        landmarks478_px=np.zeros((LANDMARKS478, 2), np.float32) if landmarks478 is None else landmarks478,
        landmarks478_weight=stored.landmarks478_weight if landmarks478 is not None else 0.0,
        skin_mask=mask,
        person=stored.person,
        recognition_embedding=np.zeros(RECOGNITION_EMBEDDING, np.float32) if embedding is None else embedding,
        recognition_embedding_weight=0.0 if embedding is None else 1.0,
        blendshapes=_blendshapes(stored, view),
        blendshapes_weight=stored.blendshapes_weight if stored.blendshapes is not None else 0.0,
        name=stored.name,
        source=stored.source,
    )


def landmarks68_of(stored: ShardSample, view: View) -> Float32[np.ndarray, "68 3"] | None:
    """The points of iBUG in a view, in their order for what is then left and right; None where there are none."""
    if stored.landmarks68_px is None:
        return None
    # A turn in the picture's plane leaves the depth as it is; a change of scale is one of depth too.
    scale = np.sqrt(abs(np.linalg.det(view.to_crop[:, :2])))
    points = np.concatenate(
        (transform_points(view.to_crop, stored.landmarks68_px[:, :2]), stored.landmarks68_px[:, 2:] * scale), axis=1
    )
    return (points[IBUG68_MIRROR] if view.mirrored else points).astype(np.float32)


def landmarks478_of(stored: ShardSample, view: View) -> Float32[np.ndarray, "478 2"] | None:
    """The points of MediaPipe in a view, in their order for what is then left and right; None where there are none."""
    if stored.landmarks478_px is None:
        return None
    points = transform_points(view.to_crop, stored.landmarks478_px)
    return (points[MEDIAPIPE478_MIRROR] if view.mirrored else points).astype(np.float32)


def _blendshapes(stored: ShardSample, view: View) -> Float32[np.ndarray, "52"]:
    """Weights for what is then left and right; zeros where there are none."""
    if stored.blendshapes is None:
        return np.zeros(BLENDSHAPES, np.float32)
    return stored.blendshapes[BLENDSHAPE_MIRROR] if view.mirrored else stored.blendshapes


def _inside(stored: ShardSample, view: View, size: int) -> np.ndarray:
    """Which pixels of the crop lie on the photograph."""
    height, width = stored.patch_srgb.shape[:2]
    to_patch = cv2.invertAffineTransform(view.to_crop)
    middle = np.arange(size) + 0.5
    x = to_patch[0, 0] * middle[None, :] + to_patch[0, 1] * middle[:, None] + to_patch[0, 2]
    y = to_patch[1, 0] * middle[None, :] + to_patch[1, 1] * middle[:, None] + to_patch[1, 2]
    return (x >= 0.0) & (x <= width) & (y >= 0.0) & (y <= height)


def _mask(
    stored: ShardSample, view: View, landmarks68: Float32[np.ndarray, "68 3"] | None, size: int
) -> Float32[np.ndarray, "size size"]:
    if landmarks68 is not None:
        return skin_mask(landmarks68, size)
    # From the window's unit square over the patch to the crop.
    return central_mask(compose(view.to_crop, stored.window.from_crop(1)), size)


def _without_tint(image: UInt8[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "size size 3"]:
    """A grey photograph stays grey, whatever was done to its colours."""
    return np.repeat(image[..., 1:2], 3, axis=2)
