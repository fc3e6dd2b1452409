"""The crop: a square window of a photograph, how it is found, cut and undone.

One rule for training and use: `window_from_landmarks` says where the crop lies, `warp_image` resamples it, and beyond
the photograph's border its outermost pixels are repeated.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data.detection import Detection

SIDE_OVER_BOX = 1.5
"""Side of the window over the size (square root of the area) of the 68 landmarks' box."""

RISE_OVER_SIDE = 0.06
"""How far the window's centre lies above the box's, as a part of the side."""

HEAD_WINDOW_OVER_TRAINING = 2.0
"""Side of the window of a whole head over that of the face: room for hair down to the shoulders, about 430 mm."""


@dataclass(frozen=True)
class WindowRule:
    """How a detection becomes a window: linear in `window_features`.

    Attributes:
        center_x: From the odd features to the window's centre, from the box's, in sizes of the box.
        center_y: The same from the even features.
        log_side: From the even features to the logarithm of the window's side over the box's size.
    """

    center_x: Float[np.ndarray, " odd"]
    center_y: Float[np.ndarray, " even"]
    log_side: Float[np.ndarray, " even"]


WINDOW_RULES = {
    5: WindowRule(
        center_x=np.array([0.62, -0.549, 0.264, -0.573, 0.734]),
        center_y=np.array([-0.038, 0.249, 0.044, 0.199, -0.143, 0.218, -0.143]),
        log_side=np.array([0.208, -0.605, -0.065, 0.257, -0.029, 0.025, 0.216]),
    ),
    6: WindowRule(
        center_x=np.array([0.025, 0.001, -0.095, -0.056, -0.006, 0.055]),
        center_y=np.array([-0.019, 0.031, 0.182, -0.001, 0.133, -0.004, -0.055]),
        log_side=np.array([0.385, -0.028, -0.293, 0.144, -0.187, -0.051, 0.043]),
    ),
}
"""By the number of points, which tells the detector: MTCNN's five, BlazeFace's six (`tools/calibrate_window.py`)."""


@dataclass(frozen=True)
class CropWindow:
    """A square of the photograph; it may reach over the border.

    Crop px = (photograph px - (left, top)) * size / side.

    Attributes:
        left_px: x of its left edge in the photograph.
        top_px: y of its upper edge.
        side_px: Its side, positive.
    """

    left_px: float
    top_px: float
    side_px: float

    @property
    def center_px(self) -> tuple[float, float]:
        """Its centre in the photograph."""
        return self.left_px + 0.5 * self.side_px, self.top_px + 0.5 * self.side_px

    @classmethod
    def about(cls, center_px: tuple[float, float], side_px: float) -> "CropWindow":
        """The window with a centre and a side.

        Raises:
            ValueError: If the side is not positive, or a number is not finite.
        """
        if not (np.isfinite([*center_px, side_px]).all() and side_px > 0.0):
            raise ValueError(f"a crop window about {center_px} with side {side_px} px: expected finite, side > 0")
        return cls(float(center_px[0] - 0.5 * side_px), float(center_px[1] - 0.5 * side_px), float(side_px))

    def enlarged(self, factor: float) -> "CropWindow":
        """The window with the same centre and `factor` times the side."""
        return CropWindow.about(self.center_px, factor * self.side_px)

    def to_crop(self, size: int) -> Float[np.ndarray, "2 3"]:
        """Affine matrix that takes photograph px to crop px."""
        scale = size / self.side_px
        return np.array([[scale, 0.0, -self.left_px * scale], [0.0, scale, -self.top_px * scale]])

    def from_crop(self, size: int) -> Float[np.ndarray, "2 3"]:
        """Affine matrix that takes crop px to photograph px, the inverse of `to_crop`."""
        scale = self.side_px / size
        return np.array([[scale, 0.0, self.left_px], [0.0, scale, self.top_px]])


def window_from_landmarks(points_px: Float[np.ndarray, "68 dimension"]) -> CropWindow:
    """The window that the network is trained on: about the box of iBUG's 68 points.

    Its side is 1.5 times the square root of the box's area, its centre is the box's, moved up by 0.06 of the side.

    Args:
        points_px: Points in the photograph; columns beyond x and y are not used.

    Raises:
        ValueError: If the points do not span an area.
    """
    lowest, highest = points_px[:, :2].min(axis=0), points_px[:, :2].max(axis=0)
    width, height = (float(extent) for extent in highest - lowest)
    side = SIDE_OVER_BOX * float(np.sqrt(width * height))
    x, y = (float(middle) for middle in 0.5 * (lowest + highest))
    return CropWindow.about((x, y - RISE_OVER_SIDE * side), side)


def head_window(points_px: Float[np.ndarray, "68 dimension"]) -> CropWindow:
    """The window of a whole head with its hair, which the person network looks at.

    Args:
        points_px: Points in the photograph; columns beyond x and y are not used.

    Raises:
        ValueError: If the points do not span an area.
    """
    return window_from_landmarks(points_px).enlarged(HEAD_WINDOW_OVER_TRAINING)


def window_from_detection(detection: Detection) -> CropWindow:
    """The window about a detected face, as near as possible to that of its landmarks.

    Linear in where the points lie in the box (in units of its size, the square root of its area, from its centre),
    with the signs that make the window of a mirrored face the mirrored window. Fitted by least squares to what the
    detectors say of training photographs, see `WINDOW_RULES`. MTCNN's five points, of 1,271: the centre of those left
    out was off the landmarks' window by 3.4 % of the side (2.7 % up to 30 degrees of yaw, 4.2 % in profiles) and the
    side by 5.4 %; a window at a fixed spot in the box is off by 4.0 % and 5.9 %. BlazeFace's six, of 888: 2.9 % and
    4.4 %.

    Raises:
        ValueError: If the box is empty, or there is no rule for so many points.
    """
    rule = WINDOW_RULES.get(len(detection.points_px))
    if rule is None:
        raise ValueError(f"a detection with {len(detection.points_px)} points: expected {sorted(WINDOW_RULES)}")
    odd, even = window_features(detection)
    size, center = detection.side_px, detection.center_px
    x, y = center + size * np.array([odd @ rule.center_x, even @ rule.center_y])
    return CropWindow.about((float(x), float(y)), size * float(np.exp(even @ rule.log_side)))


def window_features(detection: Detection) -> tuple[Float[np.ndarray, " odd"], Float[np.ndarray, " even"]]:
    """Where the points lie in the box: what changes its sign in the mirror, and what does not.

    Raises:
        ValueError: If the box is empty.
    """
    width, height = (float(extent) for extent in detection.box_px[2:].astype(np.float64) - detection.box_px[:2])
    if not (width > 0.0 and height > 0.0):
        raise ValueError(f"a detection with the box {detection.box_px.tolist()}: expected left < right, top < bottom")
    points = (detection.points_px - detection.center_px) / detection.side_px
    left_eye, right_eye, nose, *others = points
    # Corners of the mouth, or ears.
    left, right = others[-2:]
    eyes, pair, across_eyes, across_pair = (
        0.5 * (left_eye + right_eye),
        0.5 * (left + right),
        right_eye - left_eye,
        right - left,
    )
    middles = [eyes, nose, pair, *others[:-2]]
    odd = [*(middle[0] for middle in middles), across_eyes[1], across_pair[1]]
    # BlazeFace's boxes are square, so that it does without their shape.
    shape = [float(np.log(width / height))] if len(points) == 5 else []
    even = [1.0, *(middle[1] for middle in middles), across_eyes[0], across_pair[0], *shape]
    return np.array(odd), np.array(even)


def turned_clockwise(degrees: float, center_px: tuple[float, float]) -> Float[np.ndarray, "2 3"]:
    """The matrix that turns a photograph clockwise about a point; a face that leans counter-clockwise then stands."""
    angle = math.radians(degrees)
    linear = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    center = np.asarray(center_px, np.float64)
    return np.concatenate((linear, (center - linear @ center)[:, None]), axis=1)


def seen_upright(detection: Detection, turn: Float[np.ndarray, "2 3"]) -> Detection:
    """A turned face in the photograph turned by its `roll_degrees`; its box keeps its size."""
    half = 0.5 * (detection.box_px[2:].astype(np.float64) - detection.box_px[:2])
    center = transform_points(turn, detection.center_px)
    points = transform_points(turn, detection.points_px.astype(np.float64))
    box = np.concatenate((center - half, center + half))
    return replace(detection, box_px=box.astype(np.float32), points_px=points.astype(np.float32), roll_degrees=0.0)


def transform_points(
    matrix: Float[np.ndarray, "2 3"], points_px: Float[np.ndarray, "*batch 2"]
) -> Float[np.ndarray, "*batch 2"]:
    """Apply an affine matrix to points."""
    return points_px @ matrix[:, :2].T + matrix[:, 2]


def compose(outer: Float[np.ndarray, "2 3"], inner: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The affine matrix of `inner` followed by `outer`."""
    return np.concatenate((outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]), axis=1)


def crop_intrinsics(intrinsics_px: Float[np.ndarray, "3 3"], window: CropWindow, size: int) -> Float[np.ndarray, "3 3"]:
    """Intrinsics of the crop of a photograph with these intrinsics."""
    return np.concatenate((window.to_crop(size), [[0.0, 0.0, 1.0]])) @ intrinsics_px


def crop_image(
    image_srgb: UInt8[np.ndarray, "height width 3"], window: CropWindow, size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut a window and resample it to size x size px, without aliasing.

    Raises:
        ValueError: If the image is empty.
    """
    return warp_image(image_srgb, window.to_crop(size), size)


def warp_image(
    image: UInt8[np.ndarray, "height width *channel"], matrix: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "size size *channel"]:
    """Resample an image through a similarity (rotation, uniform scale, translation, mirroring), without aliasing.

    The part that is needed is first averaged down by a whole factor, then blurred to what the rest of the scale asks
    for, and only then interpolated linearly. Beyond the border the outermost pixels are repeated.

    Args:
        image: The photograph.
        matrix: From photograph px to output px (continuous: the centre of the first pixel is (0.5, 0.5)).
        size: Side of the output.

    Raises:
        ValueError: If the image is empty.
    """
    height, width = image.shape[:2]
    if height == 0 or width == 0:
        raise ValueError(f"cannot crop an image of {width} x {height} px")
    pixels_per_pixel = 1.0 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    image, matrix = _needed_part(image, matrix, size, margin=2.0 * pixels_per_pixel + 1.0)
    image, matrix, remaining = _reduce(image, matrix, pixels_per_pixel)
    if remaining > 1.02:
        # A pixel `remaining` times as wide has (remaining^2 - 1) / 12 more variance than the pixels that are there;
        # twice that suppresses the frequencies that would fold over.
        sigma = float(np.sqrt((remaining**2 - 1.0) / 6.0))
        image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(
        image, between_centers(matrix), (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _needed_part(
    image: np.ndarray, matrix: Float[np.ndarray, "2 3"], size: int, margin: float
) -> tuple[np.ndarray, Float[np.ndarray, "2 3"]]:
    """The part of the photograph under the output, at least one pixel of it, and the matrix from there."""
    corners = np.array([[0.0, 0.0], [size, 0.0], [0.0, size], [size, size]])
    inside = transform_points(cv2.invertAffineTransform(matrix), corners)
    height, width = image.shape[:2]
    limit = np.array([width, height])
    first = np.clip(np.floor(inside.min(axis=0) - margin), 0, limit - 1).astype(int)
    last = np.clip(np.ceil(inside.max(axis=0) + margin), first + 1, limit).astype(int)
    shift = np.array([[1.0, 0.0, first[0]], [0.0, 1.0, first[1]]])
    return image[first[1] : last[1], first[0] : last[0]], compose(matrix, shift)


def _reduce(
    image: np.ndarray, matrix: Float[np.ndarray, "2 3"], pixels_per_pixel: float
) -> tuple[np.ndarray, Float[np.ndarray, "2 3"], float]:
    """Average down by the largest whole factor; returns also the part of the scale that remains."""
    factor = int(pixels_per_pixel)
    if factor < 2:
        return image, matrix, pixels_per_pixel
    height, width = image.shape[:2]
    reduced_size = (max(1, -(-width // factor)), max(1, -(-height // factor)))
    reduced = cv2.resize(image, reduced_size, interpolation=cv2.INTER_AREA)
    # Width and height need not be multiples: the true scales, not the factor.
    enlarge = np.array([[width / reduced_size[0], 0.0, 0.0], [0.0, height / reduced_size[1], 0.0]])
    return reduced, compose(matrix, enlarge), pixels_per_pixel / factor


def between_centers(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """OpenCV puts the centre of the first pixel at (0, 0), we at (0.5, 0.5)."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return shifted
