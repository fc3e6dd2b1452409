"""Synthetic samples: a scene is drawn, the artist draws the head, the picture is made around it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from common.ranges import AT_LEAST_ONE, Range, checked
from data.alignment import CropWindow, crop_intrinsics, window_from_landmarks
from data.blendshapes import BLENDSHAPE_NAMES
from data.sample import RECOGNITION_EMBEDDING, FaceSample
from data.synthetic.expressions import draw_expression
from data.synthetic.hair import draw_hair_over
from data.synthetic.pictures import degrade, draw_background, draw_occluders
from data.synthetic.scene import (
    HeadArtist,
    HeadScene,
    draw_coefficients,
    draw_hair,
    draw_light,
    draw_place,
    draw_pose,
    truncated_normal,
)

_PHOTOGRAPH_FOCAL_PX = 1000.0
_COEFFICIENT_LIMIT = 2.5
"""Standard deviations that identity and albedo are clipped to: beyond, heads are caricatures."""
_GREY_CHANCE = 0.15
_SKIN_CHANCE = 0.85
"""How many heads wear a photographed skin, where there are any."""
_REC709 = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
@checked(ranges={Range(16): ("size",), AT_LEAST_ONE: ("pictures_per_person",)})
class SyntheticConfig:
    """How synthetic faces are made.

    Attributes:
        size: Side of the crops in px.
        seed: Of everything; sample i is the same for the same seed, alone or in a row.
        pictures_per_person: How many samples share an identity and an albedo; where it is 1, persons get no number.
        scale_jitter: Standard deviation of the logarithm of the crop's side.
        shift_jitter: Standard deviation of the crop's place over its side.
    """

    size: int = 112
    seed: int = 0
    pictures_per_person: int = 1
    scale_jitter: float = 0.08
    shift_jitter: float = 0.04


@dataclass(frozen=True)
class SyntheticFace:
    """A sample, with the numbers that it was drawn from."""

    sample: FaceSample
    scene: HeadScene


class SyntheticFaces:
    """An endless collection of synthetic faces."""

    def __init__(self, artist: HeadArtist, config: SyntheticConfig) -> None:
        """Take the artist who draws the heads."""
        self._artist = artist
        self._config = config

    def __iter__(self) -> Iterator[FaceSample]:
        """All samples from the first on, without end."""
        index = 0
        while True:
            yield self.face(index).sample
            index += 1

    def face(self, index: int) -> SyntheticFace:
        """Draw one face; the same index always gives the same one."""
        config = self._config
        generator = np.random.default_rng([config.seed, index])
        scene = self._scene(generator, index // config.pictures_per_person)
        intrinsics_px = self._camera(generator, scene)
        points68 = self._artist.landmarks_image(scene, intrinsics_px, "ibug68")
        points478 = self._artist.landmarks_image(scene, intrinsics_px, "mediapipe478")
        picture, skin = self._picture(generator, scene, intrinsics_px, points68)
        color = bool(generator.random() > _GREY_CHANCE)
        if not color:
            # A camera's grey, of encoded values: any weights near these occur.
            picture = np.repeat((picture @ _REC709)[..., None], 3, axis=-1)
        sample = FaceSample(
            image_srgb=np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32),
            color=color,
            intrinsics_px=intrinsics_px,
            landmarks68_px=_with_pixel_depth(points68, intrinsics_px),
            landmarks68_weight=1.0,
            landmarks478_px=np.ascontiguousarray(points478[:, :2]),
            landmarks478_weight=1.0,
            skin_mask=skin,
            person=index // config.pictures_per_person if config.pictures_per_person > 1 else -1,
            # A network that knows photographs is no judge of drawings.
            recognition_embedding=np.zeros(RECOGNITION_EMBEDDING, np.float32),
            recognition_embedding_weight=0.0,
            blendshapes=_by_alphabet(scene.expression, self._artist.expression_names),
            blendshapes_weight=1.0,
            name=f"synthetic-{config.seed}-{index:08d}",
            source="synthetic",
        )
        return SyntheticFace(sample=sample, scene=scene)

    def _scene(self, generator: np.random.Generator, person: int) -> HeadScene:
        artist, limit = self._artist, _COEFFICIENT_LIMIT
        # A stream of its own, so that all pictures of a person have the same face.
        of_person = np.random.default_rng([self._config.seed, person, 1])
        ambient, lamps = draw_light(generator)
        return HeadScene(
            identity=draw_coefficients(of_person, artist.identity_count, limit),
            expression=draw_expression(generator, artist.expression_names),
            albedo=draw_coefficients(of_person, artist.albedo_count, limit),
            yaw_pitch_roll_rad=draw_pose(generator),
            translation_mm=draw_place(generator),
            ambient=ambient,
            lamps=lamps,
            hair_linear=draw_hair(of_person),
            relief=of_person.standard_normal(artist.relief_count).astype(np.float32),
            skin=_draw_skin(of_person, artist.skin_count),
        )

    def _camera(self, generator: np.random.Generator, scene: HeadScene) -> Float32[np.ndarray, "3 3"]:
        """Cut a crop out of a photograph, as real ones are cut, and not quite exactly."""
        config = self._config
        photograph_px = np.diag([_PHOTOGRAPH_FOCAL_PX, _PHOTOGRAPH_FOCAL_PX, 1.0]).astype(np.float32)
        window = window_from_landmarks(self._artist.landmarks_image(scene, photograph_px, "ibug68"))
        side_px = window.side_px * float(np.exp(truncated_normal(generator, config.scale_jitter, 0.3)))
        x, y = (
            middle + side_px * truncated_normal(generator, config.shift_jitter, 0.15) for middle in window.center_px
        )
        window = CropWindow.about((x, y), side_px)
        return crop_intrinsics(photograph_px, window, config.size).astype(np.float32)

    def _picture(
        self,
        generator: np.random.Generator,
        scene: HeadScene,
        intrinsics_px: Float32[np.ndarray, "3 3"],
        points68: Float32[np.ndarray, "68 3"],
    ) -> tuple[Float32[np.ndarray, "size size 3"], Float32[np.ndarray, "size size"]]:
        """Picture in sRGB and skin mask."""
        size = self._config.size
        drawing = self._artist.draw(scene, intrinsics_px, size)
        background = _srgb_to_linear(draw_background(generator, size))
        linear = drawing.image_linear + background * (1.0 - drawing.coverage[..., None])
        picture = _linear_to_srgb(linear.clip(0.0, 1.0)).astype(np.float32)
        frontal = abs(float(scene.yaw_pitch_roll_rad[0])) < 0.6
        points68_px = np.ascontiguousarray(points68[:, :2])
        bare = np.ones((size, size), np.float32)
        if scene.hair_linear is not None:
            picture, bare = draw_hair_over(generator, picture, points68_px, _linear_to_srgb(scene.hair_linear))
        picture, seen = draw_occluders(generator, picture, points68_px, frontal)
        return degrade(generator, picture), (drawing.skin * bare * seen).astype(np.float32)


def _draw_skin(generator: np.random.Generator, count: int) -> int:
    if count == 0 or generator.random() > _SKIN_CHANCE:
        return -1
    return int(generator.integers(count))


def _by_alphabet(expression: Float32[np.ndarray, " expression"], names: tuple[str, ...]) -> Float32[np.ndarray, "52"]:
    """Weights in the labels' order; 0 for what the head lacks."""
    weights = dict(zip(names, expression.tolist(), strict=True))
    return np.array([weights.get(name, 0.0) for name in BLENDSHAPE_NAMES], np.float32)


def _with_pixel_depth(
    points_image: Float32[np.ndarray, "point 3"], intrinsics_px: Float32[np.ndarray, "3 3"]
) -> Float32[np.ndarray, "point 3"]:
    """(x, y, z) px, z towards the viewer with zero mean, of (x_px, y_px, depth_mm)."""
    depth_mm = points_image[:, 2]
    z_px = (depth_mm.mean() - depth_mm) * intrinsics_px[0, 0] / depth_mm.mean()
    return np.concatenate((points_image[:, :2], z_px[:, None]), axis=1).astype(np.float32)


def _srgb_to_linear(srgb: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
