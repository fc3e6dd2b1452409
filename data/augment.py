"""What training does to a stored face to make many of it: geometry and camera by one matrix, then pixels.

The geometric change is a similarity of the photograph (turn, scale, shift, mirroring). It moves the pixels, the points,
the mask and the principal point by the same matrix, so all of them stay true: a turn of the picture about its principal
point is a roll of the camera. The changes of the pixels are albumentations'.
"""

import math
import os
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from data.alignment import SIDE_OVER_BOX, CropWindow, compose, transform_points, window_from_landmarks
from data.augment_config import AugmentConfig
from data.shards import ShardSample

# It asks the network for a newer version of itself when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: E402, N812

FRONTAL_BOX_MM, PROFILE_BOX_MM = 144.0, 126.0
"""Size (square root of the area) of the 68 landmarks' box of a mean head, seen from the front and from the side."""

VALIDATION_DISTANCE_MM = 800.0


@dataclass(frozen=True)
class View:
    """How a stored face is seen in a crop.

    Attributes:
        to_crop: Matrix from patch px to crop px.
        intrinsics_px: Camera of the crop.
        mirrored: Whether left and right change places.
    """

    to_crop: Float[np.ndarray, "2 3"]
    intrinsics_px: Float32[np.ndarray, "3 3"]
    mirrored: bool


def plain_view(sample: ShardSample, size: int) -> View:
    """The face as it is: its own window, a camera at 800 mm whose principal point is the crop's centre."""
    to_crop = sample.window.to_crop(size)
    camera = (_focal_px(sample, VALIDATION_DISTANCE_MM), np.array(sample.window.center_px))
    return View(to_crop, _intrinsics(to_crop, *camera), mirrored=False)


def random_view(sample: ShardSample, size: int, config: AugmentConfig, generator: np.random.Generator) -> View:
    """A random similarity and a random camera.

    The turn comes first, and the window is found anew from the turned points, as it would be for a photograph that was
    taken so; scale and shift are errors of that window.
    """
    center, side = np.array(sample.window.center_px), sample.window.side_px
    distance_mm = math.exp(generator.uniform(math.log(config.near_mm), math.log(config.far_mm)))
    principal_px = center + generator.uniform(-1.0, 1.0, 2) * config.principal_shift * side
    focal_px = _focal_px(sample, distance_mm)
    mirrored = bool(generator.random() < config.mirror)
    angle = math.radians(config.rotation_degrees) * generator.triangular(-1.0, 0.0, 1.0)
    turn = _turn(center, angle, mirrored)
    window = sample.window
    if sample.landmarks68_px is not None:
        window = window_from_landmarks(transform_points(turn, sample.landmarks68_px[:, :2]))
    factor = math.exp(generator.uniform(-config.scale, config.scale))
    shift = generator.uniform(-1.0, 1.0, 2) * config.shift * window.side_px
    x, y = np.array(window.center_px) + shift
    to_crop = compose(CropWindow.about((float(x), float(y)), window.side_px * factor).to_crop(size), turn)
    return View(to_crop, _intrinsics(to_crop, focal_px, principal_px), mirrored)


class PixelAugmentation:
    """Random changes of a crop's pixels; patches are put over the mask as well."""

    def __init__(self, config: AugmentConfig) -> None:
        """Build the chain."""
        self._change = A.Compose(
            [
                A.OneOf(
                    [
                        A.ColorJitter((0.7, 1.25), (0.75, 1.25), (0.6, 1.4), (-0.03, 0.03), p=1.0),
                        A.RandomGamma((60, 160), p=1.0),
                        A.PlanckianJitter("blackbody", (4500, 10000), p=1.0),
                        A.RandomToneCurve(0.15, p=1.0),
                    ],
                    p=config.color,
                ),
                A.OneOf(
                    [
                        A.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 1.6), p=1.0),
                        # Not shifted: the points would no longer lie on the picture.
                        A.MotionBlur((3, 7), allow_shifted=False, p=1.0),
                        A.Downscale((0.35, 0.8), {"downscale": 3, "upscale": 1}, p=1.0),
                    ],
                    p=config.blur,
                ),
                A.GaussNoise((0.01, 0.06), p=config.noise),
                A.ImageCompression("jpeg", (30, 90), p=config.compression),
                A.OneOf([_patches("random_uniform"), _patches("random")], p=config.occlusion),
            ]
        )

    def seed(self, generator: np.random.Generator) -> None:
        """Let all that is random in the next call come from a generator."""
        # Not `set_random_seed`: that gives every transform the same numbers, and takes ten times as long.
        self._change.set_random_state(generator, random.Random(int(generator.integers(2**63))))

    def __call__(
        self, image_srgb: UInt8[np.ndarray, "size size 3"], mask: Float32[np.ndarray, "size size"]
    ) -> tuple[UInt8[np.ndarray, "size size 3"], Float32[np.ndarray, "size size"]]:
        """Change a crop and its mask; the arrays given are left as they are."""
        changed = self._change(image=image_srgb, mask=mask)
        return changed["image"], changed["mask"]


def _patches(fill: Literal["random", "random_uniform"]) -> A.CoarseDropout:
    """One or two rectangles of noise, or of one colour each."""
    return A.CoarseDropout((1, 2), (0.1, 0.4), (0.1, 0.4), fill=fill, fill_mask=0.0, p=1.0)


def _turn(center_px: Float[np.ndarray, "2"], angle: float, mirrored: bool) -> Float[np.ndarray, "2 3"]:
    """Turn by an angle (counter-clockwise as seen) about a point, then mirror at the vertical line through it."""
    cosine, sine = math.cos(angle), math.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    if mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    return np.concatenate((linear, (center_px - linear @ center_px)[:, None]), axis=1)


def _focal_px(sample: ShardSample, distance_mm: float) -> float:
    """The focal length with which a head of mean size, that far away, is as large in the patch as this one."""
    sine_squared = math.sin(math.radians(sample.yaw_degrees)) ** 2
    box_mm = FRONTAL_BOX_MM + (PROFILE_BOX_MM - FRONTAL_BOX_MM) * sine_squared
    return distance_mm * (sample.window.side_px / SIDE_OVER_BOX) / box_mm


def _intrinsics(
    to_crop: Float[np.ndarray, "2 3"], focal_px: float, principal_px: Float[np.ndarray, "2"]
) -> Float32[np.ndarray, "3 3"]:
    """Camera of the crop of a patch with square pixels; a mirrored one is again a camera of the same focal length."""
    focal = focal_px * math.sqrt(abs(np.linalg.det(to_crop[:, :2])))
    x, y = transform_points(to_crop, principal_px)
    return np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]], np.float32)
