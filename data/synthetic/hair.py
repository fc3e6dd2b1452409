"""Hair as flat strokes over a drawn head: it hides forehead, temples and the outline of the skull, as hair does.

No attempt at the shape of hair: a network that learns from drawn heads shall learn not to look for the skull there.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32

_JAW_ENDS = (0, 16)
_BROWS = slice(17, 27)
_CHEEKS, _NO_CHEEKS = [*range(0, 5), *range(12, 17)], [*range(5, 12), *range(17, 68)]
_NOSE_BRIDGE, _NOSE_TIP = 27, 30
_SHIFT_BITS = 4


def draw_hair_over(
    generator: np.random.Generator,
    picture_srgb: Float32[np.ndarray, "size size 3"],
    landmarks_px: Float32[np.ndarray, "68 2"],
    colour_srgb: Float[np.ndarray, "3"],
) -> tuple[Float32[np.ndarray, "size size 3"], Float32[np.ndarray, "size size"]]:
    """Draw a head of hair, sometimes long, sometimes with a fringe, or none.

    Args:
        generator: Randomness.
        picture_srgb: sRGB in [0, 1].
        landmarks_px: iBUG's points; the jaw's ends lie at the ears, also where these are hidden.
        colour_srgb: Of the hair.

    Returns:
        The picture, and 1 where it is as before, 0 where there is hair, between them at soft edges.
    """
    size = len(picture_srgb)
    if generator.random() < 0.3:
        return picture_srgb, np.ones((size, size), np.float32)
    face = float(np.sqrt(np.prod(np.ptp(landmarks_px, axis=0))))
    up = landmarks_px[_NOSE_BRIDGE] - landmarks_px[_NOSE_TIP]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    cover = _outline(generator, landmarks_px, face, up, size)
    cover = cover * (1.0 - _face_window(generator, landmarks_px, face, up, size))
    cover = cv2.GaussianBlur(cover, (0, 0), float(generator.uniform(0.3, 1.2)) * size / 112.0).clip(0.0, 1.0)[..., None]
    strands = _strands(generator, size)[..., None]
    hair = np.clip(colour_srgb * (0.85 + 0.3 * strands) + generator.normal(0.0, 0.02, 3), 0.0, 1.0)
    return (picture_srgb * (1.0 - cover) + hair * cover).astype(np.float32), 1.0 - cover[..., 0]


def _outline(generator: np.random.Generator, points: np.ndarray, face: float, up: np.ndarray, size: int) -> np.ndarray:
    """The cranium with its hair: an ellipse about the ears, whose sides may fall to the shoulders."""
    across = np.array([-up[1], up[0]])
    middle = points[list(_JAW_ENDS)].mean(0) + face * generator.uniform(0.1, 0.3) * up
    half = face * np.array([generator.uniform(0.58, 0.85), generator.uniform(0.65, 0.95)])
    angle = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    ripple = 1.0 + 0.04 * np.sin(angle * generator.integers(2, 9) + generator.uniform(0.0, 6.0))
    outline = (np.cos(angle) * half[0] * ripple)[:, None] * across + (np.sin(angle) * half[1] * ripple)[:, None] * up
    if generator.random() < 0.4:
        low = np.sin(angle) < 0.0
        outline[low] += (np.sin(angle[low]) * face * generator.uniform(0.3, 1.3))[:, None] * up
    return _filled([middle + outline], size)


def _face_window(
    generator: np.random.Generator, points: np.ndarray, face: float, up: np.ndarray, size: int
) -> np.ndarray:
    """What the hair leaves free: the face up to the hairline, sometimes less of its cheeks."""
    brows = points[_BROWS]
    height = face * (generator.uniform(-0.02, 0.12) if generator.random() < 0.25 else generator.uniform(0.2, 0.45))
    forehead = brows.mean(0) + generator.uniform(0.8, 1.0) * (brows - brows.mean(0)) + height * up
    # Only the upper half of the jaw line is drawn in: hair hangs over cheeks, seldom over nose and chin.
    cheeks = points[_CHEEKS] + generator.uniform(0.0, 0.15) * (points.mean(0) - points[_CHEEKS])
    free = np.concatenate((cheeks, points[_NO_CHEEKS], forehead))
    return _filled([cv2.convexHull(free.astype(np.float32))[:, 0]], size)


def _strands(generator: np.random.Generator, size: int) -> np.ndarray:
    """Noise drawn out along one direction, about [-1, 1]."""
    noise = generator.normal(size=(size, size)).astype(np.float32)
    length = int(generator.integers(7, 25))
    kernel = np.zeros((length, length), np.float32)
    angle = generator.uniform(0.0, np.pi)
    reach = 0.5 * (length - 1) * np.array([np.cos(angle), np.sin(angle)])
    start, end = (0.5 * (length - 1) - reach).astype(int), (0.5 * (length - 1) + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    drawn = cv2.filter2D(noise, -1, kernel / max(float(kernel.sum()), 1.0))
    broad = cv2.resize(generator.normal(size=(5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return drawn / max(float(drawn.std()), 1e-6) * 0.35 + 0.4 * broad


def _filled(outlines: list[np.ndarray], size: int) -> np.ndarray:
    mask = np.zeros((size, size), np.float32)
    fixed = [np.round((o - 0.5).clip(-4.0 * size, 5.0 * size) * (1 << _SHIFT_BITS)).astype(np.int32) for o in outlines]
    cv2.fillPoly(mask, fixed, 1.0, lineType=cv2.LINE_8, shift=_SHIFT_BITS)
    return mask
