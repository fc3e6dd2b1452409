"""From one photograph to the samples of its faces, as they go into a shard."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.photograph import has_color
from data.alignment import CropWindow, compose, transform_points, window_from_detection, window_from_landmarks
from data.detection import Detection
from data.image_io import decode_photograph
from data.landmarks import yaw_from_landmarks
from data.plan import PrepareConfig
from data.readers import Labels, SourcePhotograph
from data.shards import ShardSample


def labelled_sample(
    photograph: SourcePhotograph, labels: Labels, config: PrepareConfig
) -> tuple[ShardSample, bytes | None]:
    """The sample of a photograph with labels.

    Returns:
        The sample, and its JPEG where the photograph is one that was kept as it is.

    Raises:
        UnreadableImageError: If the photograph cannot be read.
        OSError: If its file cannot be read.
        ValueError: If its landmarks do not span a face.
    """
    content = photograph.read_bytes()
    image_srgb = decode_photograph(content, photograph.name)
    window = window_from_landmarks(labels.landmarks68_px)
    sample = _cut(photograph, image_srgb, window, labels, config)
    unchanged = sample.patch_srgb.shape == image_srgb.shape and _is_plain_jpeg(content)
    return sample, content if unchanged else None


def detected_samples(
    photograph: SourcePhotograph,
    image_srgb: UInt8[np.ndarray, "height width 3"],
    detections: list[Detection],
    config: PrepareConfig,
) -> list[ShardSample]:
    """One sample without landmarks for each face found."""
    return [_cut(photograph, image_srgb, window_from_detection(found), None, config) for found in detections]


def _cut(
    photograph: SourcePhotograph,
    image_srgb: UInt8[np.ndarray, "height width 3"],
    window: CropWindow,
    labels: Labels | None,
    config: PrepareConfig,
) -> ShardSample:
    patch, to_patch = _patch(image_srgb, window, config)
    scale = to_patch[0, 0]
    left, top = transform_points(to_patch, np.array([window.left_px, window.top_px]))
    landmarks68, landmarks478, yaw_degrees = None, None, 0.0
    if labels is not None:
        depth = labels.landmarks68_px[:, 2:] * scale
        landmarks68 = np.concatenate((transform_points(to_patch, labels.landmarks68_px[:, :2]), depth), axis=1)
        yaw_degrees = float(np.degrees(yaw_from_landmarks(labels.landmarks68_px)))
        if labels.landmarks478_px is not None:
            landmarks478 = transform_points(to_patch, labels.landmarks478_px).astype(np.float32)
    return ShardSample(
        patch_srgb=patch,
        window=CropWindow(float(left), float(top), float(window.side_px * scale)),
        landmarks68_px=None if landmarks68 is None else landmarks68.astype(np.float32),
        landmarks478_px=landmarks478,
        landmarks68_weight=0.0 if landmarks68 is None else 1.0,
        landmarks478_weight=0.0 if labels is None or landmarks478 is None else labels.landmarks478_weight,
        yaw_degrees=yaw_degrees,
        color=has_color(image_srgb),
        person=photograph.person,
        name=photograph.name,
        source=photograph.source,
        blendshapes=None if labels is None else labels.blendshapes,
        blendshapes_weight=0.0 if labels is None or labels.blendshapes is None else labels.blendshapes_weight,
    )


def _patch(
    image_srgb: UInt8[np.ndarray, "height width 3"], window: CropWindow, config: PrepareConfig
) -> tuple[UInt8[np.ndarray, "patch_height patch_width 3"], Float[np.ndarray, "2 3"]]:
    """The photograph around a window, at a bounded size, and the matrix from photograph px to its px."""
    height, width = image_srgb.shape[:2]
    wide = window.enlarged(config.margin)
    left, top = int(np.clip(np.floor(wide.left_px), 0, width - 1)), int(np.clip(np.floor(wide.top_px), 0, height - 1))
    right = int(np.clip(np.ceil(wide.left_px + wide.side_px), left + 1, width))
    bottom = int(np.clip(np.ceil(wide.top_px + wide.side_px), top + 1, height))
    patch = np.ascontiguousarray(image_srgb[top:bottom, left:right])
    to_patch = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])
    scale = config.largest_side_px / window.side_px
    if scale >= 1.0:
        return patch, to_patch
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    # Rounding makes the two axes differ by less than half a pixel over the whole patch.
    shrink = np.array([[size[0] / (right - left), 0.0, 0.0], [0.0, size[1] / (bottom - top), 0.0]])
    return cv2.resize(patch, size, interpolation=cv2.INTER_AREA), compose(shrink, to_patch)


def _is_plain_jpeg(content: bytes) -> bool:
    """A JPEG that OpenCV, which reads the shards, shows as Pillow does: no EXIF turn, no profile, no CMYK."""
    return content[:3] == b"\xff\xd8\xff" and not any(
        marker in content for marker in (b"Exif\0", b"ICC_PROFILE\0", b"Adobe\0")
    )
