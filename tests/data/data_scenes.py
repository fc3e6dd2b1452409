"""Small faces made of dots, for the tests of the data: every label is known, and can be found again in the pixels."""

import numpy as np

from data.alignment import CropWindow, window_from_landmarks
from data.shards import ShardSample, encode_sample
from tests.small_world import ibug68_layout


def face_points(size_px: float = 70.0, center_px: tuple[float, float] = (80.0, 85.0)) -> np.ndarray:
    """iBUG's 68 of a frontal face (68, 3), z towards the viewer with zero mean."""
    layout = ibug68_layout()
    points = np.stack((layout[:, 0], -layout[:, 1], 0.4 * (1.0 - (layout**2).sum(1))), axis=1)
    points = points / (layout.max(0) - layout.min(0)).max() * size_px
    points[:, 2] -= points[:, 2].mean()
    points[:, :2] += center_px
    return points.astype(np.float32)


def smooth_picture(height: int = 160, width: int = 160) -> np.ndarray:
    """A photograph of nothing: soft colours that differ everywhere."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17.0 + k) + np.cos(y / 23.0 + 2 * k) for k in range(3)]
    return np.stack([(127 + 50 * wave).clip(0, 255) for wave in waves], axis=-1).astype(np.uint8)


def dot_picture(point_px: np.ndarray, height: int = 160, width: int = 160, sigma_px: float = 2.0) -> np.ndarray:
    """Black, with one soft white dot."""
    y, x = np.mgrid[:height, :width] + 0.5
    dot = np.exp(-0.5 * ((x - point_px[0]) ** 2 + (y - point_px[1]) ** 2) / sigma_px**2)
    return np.repeat((255 * dot)[..., None], 3, axis=-1).astype(np.uint8)


def dot_position(image: np.ndarray) -> np.ndarray:
    """Where the dot of a picture (H, W, 3) is: the centre of its brightness."""
    weight = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def stored_face(
    name: str = "face.jpg",
    *,
    patch_srgb: np.ndarray | None = None,
    labelled: bool = True,
    yaw_degrees: float = 0.0,
    color: bool = True,
    person: int = -1,
    embedding: np.ndarray | None = None,
    blendshapes: np.ndarray | None = None,
) -> ShardSample:
    """A face as it lies in a shard."""
    points = face_points()
    window = window_from_landmarks(points) if labelled else CropWindow(20.0, 20.0, 120.0)
    return ShardSample(
        patch_srgb=smooth_picture() if patch_srgb is None else patch_srgb,
        window=window,
        landmarks68_px=points if labelled else None,
        landmarks478_px=np.tile(points[:, :2], (8, 1))[:478].copy() if labelled else None,
        landmarks68_weight=1.0 if labelled else 0.0,
        landmarks478_weight=0.5 if labelled else 0.0,
        yaw_degrees=yaw_degrees,
        color=color,
        person=person,
        name=name,
        source="test",
        recognition_embedding=embedding,
        blendshapes=blendshapes,
        blendshapes_weight=0.0 if blendshapes is None else 0.75,
    )


def encoded(count: int, prefix: str = "s", **options: float) -> list[tuple[str, dict[str, bytes]]]:
    """Members of some samples, named `<prefix>-<number>`."""
    names = [f"{prefix}-{number}" for number in range(count)]
    return [(name, encode_sample(stored_face(name, **options))) for name in names]  # pyright: ignore[reportArgumentType]
