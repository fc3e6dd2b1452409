"""What is around, before and between head and viewer: backgrounds, occluders, and what a camera does to a picture.

All pictures are float32 sRGB in [0, 1], (S, S, 3).
"""

import cv2
import numpy as np
from jaxtyping import Float32


def draw_background(generator: np.random.Generator, size: int) -> Float32[np.ndarray, "size size 3"]:
    """A wall, a gradient, clouds of colour, or a clutter of blurred shapes."""
    kind = generator.choice(["flat", "gradient", "clouds", "clutter"], p=[0.15, 0.2, 0.3, 0.35])
    first, second = _colour(generator), _colour(generator)
    if kind == "flat":
        picture = np.broadcast_to(first, (size, size, 3))
    elif kind == "gradient":
        angle = generator.uniform(0.0, 2.0 * np.pi)
        y, x = np.mgrid[-1.0 : 1.0 : size * 1j, -1.0 : 1.0 : size * 1j]
        along = (0.5 + 0.35 * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
        picture = first + (second - first) * along
    elif kind == "clouds":
        share = _clouds(generator, size, octaves=int(generator.integers(2, 6)))[..., None]
        picture = first + (second - first) * share + 0.1 * (_clouds(generator, size, 4)[..., None] - 0.5)
    else:
        picture = _clutter(generator, size, first)
    return np.clip(picture, 0.0, 1.0).astype(np.float32)


def draw_occluders(
    generator: np.random.Generator,
    picture_srgb: Float32[np.ndarray, "size size 3"],
    landmarks_px: Float32[np.ndarray, "68 2"],
    frontal: bool,
) -> tuple[Float32[np.ndarray, "size size 3"], Float32[np.ndarray, "size size"]]:
    """Put something before the face, sometimes: glasses on frontal faces, and things held before it.

    Returns:
        The picture, and 1 where the face is still seen, 0 where it is hidden, between them at soft edges.
    """
    size = len(picture_srgb)
    hidden = np.zeros((size, size), np.float32)
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    if frontal and generator.random() < 0.15:
        layers.append(_glasses(generator, landmarks_px, size))
    if generator.random() < 0.25:
        layers.append(_thing(generator, landmarks_px, size))
    for cover, colour in layers:
        picture_srgb = picture_srgb * (1.0 - cover[..., None]) + colour * cover[..., None]
        hidden = np.maximum(hidden, cover)
    return picture_srgb.astype(np.float32), 1.0 - hidden


def degrade(
    generator: np.random.Generator, picture_srgb: Float32[np.ndarray, "size size 3"]
) -> Float32[np.ndarray, "size size 3"]:
    """Defocus, low resolution, sensor noise and compression, each of them sometimes."""
    size = len(picture_srgb)
    if generator.random() < 0.3:
        picture_srgb = cv2.GaussianBlur(picture_srgb, (0, 0), float(generator.uniform(0.3, 1.5)) * size / 112.0)
    if generator.random() < 0.2:
        small = max(8, int(size * generator.uniform(0.35, 0.9)))
        reduced = cv2.resize(picture_srgb, (small, small), interpolation=cv2.INTER_AREA)
        picture_srgb = cv2.resize(reduced, (size, size), interpolation=cv2.INTER_LINEAR)
    if generator.random() < 0.5:
        deviation = generator.uniform(0.002, 0.04)
        picture_srgb = picture_srgb + generator.normal(0.0, deviation, picture_srgb.shape)
    picture_srgb = np.clip(picture_srgb, 0.0, 1.0).astype(np.float32)
    if generator.random() < 0.4:
        quality = int(generator.integers(35, 96))
        written = cv2.imencode(
            ".jpg", np.rint(255.0 * picture_srgb).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        picture_srgb = np.asarray(cv2.imdecode(written[1], cv2.IMREAD_COLOR), np.float32) / 255.0
    return picture_srgb


def _colour(generator: np.random.Generator) -> np.ndarray:
    """A colour of a room or a street: any lightness, mostly not very saturated."""
    return np.clip(generator.uniform(0.03, 0.97) + generator.normal(0.0, 0.12, 3), 0.0, 1.0)


def _clouds(generator: np.random.Generator, size: int, octaves: int) -> np.ndarray:
    """Noise of several scales in [0, 1]."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        coarse = generator.random((2 ** (octave + 1) + 1,) * 2, dtype=np.float32)
        total += 0.6**octave * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def _clutter(generator: np.random.Generator, size: int, base: np.ndarray) -> np.ndarray:
    picture = np.broadcast_to(base, (size, size, 3)).astype(np.float32).copy()
    for _ in range(int(generator.integers(5, 25))):
        colour = tuple(float(value) for value in _colour(generator))
        center = generator.uniform(-0.1, 1.1, 2) * size
        extent = size * generator.uniform(0.04, 0.4, 2)
        box = (tuple(center.tolist()), tuple(extent.tolist()), float(generator.uniform(0.0, 180.0)))
        if generator.random() < 0.5:
            cv2.ellipse(picture, box, colour, -1, cv2.LINE_AA)
        else:
            cv2.fillPoly(picture, [np.rint(cv2.boxPoints(box)).astype(np.int32)], colour, cv2.LINE_AA)
    deviation = float(generator.uniform(0.2, 4.0)) * size / 112.0
    return cv2.GaussianBlur(picture, (0, 0), deviation) + 0.05 * (_clouds(generator, size, 6)[..., None] - 0.5)


def _glasses(
    generator: np.random.Generator, landmarks_px: Float32[np.ndarray, "68 2"], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Frames about both eyes, clear or dark glass in them."""
    eyes = [landmarks_px[36:42].mean(axis=0), landmarks_px[42:48].mean(axis=0)]
    between = eyes[1] - eyes[0]
    radius, angle = 0.36 * float(np.linalg.norm(between)), float(np.degrees(np.arctan2(between[1], between[0])))
    height = radius * float(generator.uniform(0.6, 1.0))
    line = max(1, round(float(generator.uniform(0.01, 0.035)) * size / 2))
    frame, glass = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for eye in eyes:
        box = ((float(eye[0]), float(eye[1])), (2.0 * radius, 2.0 * height), angle)
        cv2.ellipse(glass, box, 1.0, -1, cv2.LINE_AA)
        cv2.ellipse(frame, box, 1.0, line, cv2.LINE_AA)
    bridge = [tuple(np.rint(eyes[0] + part * between).astype(int).tolist()) for part in (0.36, 0.64)]
    cv2.line(frame, bridge[0], bridge[1], 1.0, line, cv2.LINE_AA)
    dark = float(generator.uniform(0.8, 0.97)) if generator.random() < 0.4 else float(generator.uniform(0.0, 0.1))
    colour = 0.3 * _colour(generator) * np.ones((size, size, 1))
    return np.maximum(frame, dark * glass), colour


def _thing(
    generator: np.random.Generator, landmarks_px: Float32[np.ndarray, "68 2"], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """A hand, a strand of hair, a microphone, the head of a neighbour: a few joined blobs of one uneven colour."""
    cover = np.zeros((size, size), np.float32)
    face = float(np.sqrt(np.prod(np.ptp(landmarks_px, axis=0))))
    place = landmarks_px[int(generator.integers(0, 68))] + generator.normal(0.0, 0.15 * face, 2)
    step = generator.normal(0.0, 0.12 * face, 2)
    for index in range(int(generator.integers(1, 5))):
        extent = face * generator.uniform(0.06, 0.4, 2)
        box = (tuple((place + index * step).tolist()), tuple(extent.tolist()), float(generator.uniform(0.0, 180.0)))
        cv2.ellipse(cover, box, 1.0, -1, cv2.LINE_AA)
    cover = cv2.GaussianBlur(cover, (0, 0), float(generator.uniform(0.3, 1.0)) * size / 112.0)
    return cover, np.clip(_colour(generator) + 0.3 * (_clouds(generator, size, 4)[..., None] - 0.5), 0.0, 1.0)
