"""Samples for the person network: labelled photographs, seen anew each time they are asked for."""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from common.ranges import POSITIVE, SHARE, checked
from common.tensors import open_tensors
from data.alignment import CropWindow, between_centers, head_window, transform_points
from data.augment import AugmentConfig, PixelAugmentation
from data.synthetic.hair import draw_hair_over
from data.synthetic.pictures import draw_background, draw_occluders
from model.person.classes import BACKGROUND, HAIR, OTHER, UNKNOWN

LABELS_FORMAT = "likeness-person-labels-1"


@dataclass(frozen=True)
@checked(ranges={SHARE: ("background", "other_background", "hair", "occluders"), POSITIVE: ("scale",)})
class PersonAugmentConfig:
    """How much a photograph is changed.

    Attributes:
        rotation_degrees: Largest turn; small turns are more frequent (triangular).
        scale: Largest change of scale, as a logarithm.
        shift: Largest shift along x and y, in sides of the window.
        background: Probability that the person is put before a drawn background.
        other_background: Probability that the person is put before what another photograph shows.
        hair: Probability that hair is drawn over the person.
        occluders: Probability that glasses or a thing may be drawn before the face.
        pixels: What is done to pixels.
    """

    rotation_degrees: float = 25.0
    scale: float = 0.25
    shift: float = 0.08
    background: float = 0.15
    other_background: float = 0.2
    hair: float = 0.12
    occluders: float = 0.4
    pixels: AugmentConfig = AugmentConfig(color=0.6, grey=0.12, blur=0.3, noise=0.2, compression=0.3, occlusion=0.1)


class PersonSamples:
    """Labelled photographs in memory."""

    def __init__(self, path: Path, size: int, config: PersonAugmentConfig | None = None) -> None:
        """Read them.

        Args:
            path: What `tools.label_persons` wrote.
            size: Side of the samples in px.
            config: How they are changed; None to show them as they are.
        """
        file, _ = open_tensors(path, LABELS_FORMAT, framework="numpy", remedy="make it with tools.label_persons")
        self._images = file.get_tensor("image_srgb")
        self._mattes = file.get_tensor("matte")
        self._labels = file.get_tensor("label")
        self._points_px = file.get_tensor("landmarks68_px")
        self._size, self._config = size, config
        self._pixels = PixelAugmentation((config or PersonAugmentConfig()).pixels)

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self._images)

    def sample(
        self, index: int, generator: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"]]:
        """A photograph's window about the head, and the classes of its pixels."""
        matrix = self._matrix(index, generator)
        image = _warp(self._images[index], matrix, self._size, cv2.BORDER_REPLICATE)
        label = cv2.warpAffine(
            self._labels[index],
            between_centers(matrix),
            (self._size, self._size),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=float(UNKNOWN),
        )
        config = self._config
        if config is None:
            return image, label
        points_px = transform_points(matrix, self._points_px[index]).astype(np.float32)
        matte = _warp(self._mattes[index], matrix, self._size, cv2.BORDER_REPLICATE).astype(np.float32) / 255.0
        picture = image.astype(np.float32) / 255.0
        picture, label = self._placed(picture, matte, label, generator)
        picture, label = self._covered(picture, label, points_px, generator)
        self._pixels.seed(generator)
        seen = np.ones(label.shape, np.float32)
        changed, seen = self._pixels(np.rint(255.0 * picture.clip(0.0, 1.0)).astype(np.uint8), seen)
        label = np.where(seen < 0.5, UNKNOWN, label)
        if generator.random() < config.pixels.grey:
            changed = np.repeat(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
        return changed, label.astype(np.uint8)

    def _matrix(self, index: int, generator: np.random.Generator) -> Float[np.ndarray, "2 3"]:
        """From the stored picture's px to the sample's."""
        window, config = head_window(self._points_px[index]), self._config
        if config is None:
            return window.to_crop(self._size)
        factor = math.exp(generator.uniform(-config.scale, config.scale))
        x, y = np.array(window.center_px) + generator.uniform(-1.0, 1.0, 2) * config.shift * window.side_px
        to_crop = CropWindow.about((float(x), float(y)), window.side_px * factor).to_crop(self._size)
        degrees = config.rotation_degrees * generator.triangular(-1.0, 0.0, 1.0)
        turn = cv2.getRotationMatrix2D((0.5 * self._size, 0.5 * self._size), degrees, 1.0)
        if generator.random() < 0.5:
            turn = np.array([[-1.0, 0.0, self._size], [0.0, 1.0, 0.0]]) @ np.vstack((turn, (0.0, 0.0, 1.0)))
        return turn @ np.vstack((to_crop, (0.0, 0.0, 1.0)))

    def _placed(
        self,
        picture: Float32[np.ndarray, "size size 3"],
        matte: Float32[np.ndarray, "size size"],
        label: UInt8[np.ndarray, "size size"],
        generator: np.random.Generator,
    ) -> tuple[Float32[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"]]:
        """The person before something else, sometimes."""
        chance, config = generator.random(), self._config
        assert config is not None
        if chance > config.background + config.other_background:
            return picture, label
        if chance < config.background:
            behind = draw_background(generator, self._size)
        else:
            # Another photograph turned upside down: its person is no longer one that a network would look for.
            other = self._images[int(generator.integers(len(self)))][::-1]
            behind = cv2.resize(other, (self._size, self._size)).astype(np.float32) / 255.0
        picture = picture * matte[..., None] + behind * (1.0 - matte[..., None])
        # Beyond the photograph's border it is known now: where the border shows no person, none goes on.
        label = np.where((label == UNKNOWN) & (matte < 0.1), BACKGROUND, label)
        return picture, label.astype(np.uint8)

    def _covered(
        self,
        picture: Float32[np.ndarray, "size size 3"],
        label: UInt8[np.ndarray, "size size"],
        points_px: Float32[np.ndarray, "68 2"],
        generator: np.random.Generator,
    ) -> tuple[Float32[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"]]:
        """Drawn hair, glasses and things over the person, sometimes; their masks are exact."""
        config = self._config
        assert config is not None
        if generator.random() < config.hair:
            color = np.clip(generator.uniform(0.03, 0.8) * (1.0 + generator.normal(0.0, 0.15, 3)), 0.0, 1.0)
            picture, bare = draw_hair_over(generator, picture, points_px, color)
            label = np.where(bare < 0.5, HAIR, label)
        if generator.random() < config.occluders:
            picture, seen = draw_occluders(generator, picture, points_px, frontal=True)
            label = np.where(seen < 0.5, OTHER, label)
        return picture, label.astype(np.uint8)


def _warp(image: np.ndarray, matrix: Float[np.ndarray, "2 3"], size: int, border: int) -> np.ndarray:
    # Stored pictures are about as coarse as the samples, so that nothing folds over.
    return cv2.warpAffine(image, between_centers(matrix), (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
