"""What a synthetic picture shows, in numbers; and who draws the head."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

_WARMTH = np.array([1.0, 0.0, -1.0])
"""Per channel: from cool to warm light."""


@dataclass(frozen=True)
class Lamp:
    """A distant light.

    Attributes:
        direction: Unit vector towards it in camera space.
        strength: Linear RGB.
    """

    direction: Float32[np.ndarray, "3"]
    strength: Float32[np.ndarray, "3"]


@dataclass(frozen=True)
class HeadScene:
    """One head before the camera: the ground truth of a sample.

    Attributes:
        identity: Standard deviations.
        expression: Blendshape weights in [0, 1].
        albedo: Standard deviations.
        yaw_pitch_roll_rad: Head pose in camera space.
        translation_mm: Model origin in camera space.
        ambient: Light from everywhere, linear RGB.
        lamps: One to three distant lights.
        hair_linear: Colour of the scalp, linear RGB, or None for a bald head.
        relief: Standard normal coefficients of shapes beyond the model's components; as many as the artist takes.
        skin: Number of a photographed skin that the head wears instead of its albedo; -1 for none.
    """

    identity: Float32[np.ndarray, " identity"]
    expression: Float32[np.ndarray, " expression"]
    albedo: Float32[np.ndarray, " albedo"]
    yaw_pitch_roll_rad: Float32[np.ndarray, "3"]
    translation_mm: Float32[np.ndarray, "3"]
    ambient: Float32[np.ndarray, "3"]
    lamps: tuple[Lamp, ...]
    hair_linear: Float32[np.ndarray, "3"] | None
    relief: Float32[np.ndarray, " relief"] = field(default_factory=lambda: np.zeros(0, np.float32))
    skin: int = -1


@dataclass(frozen=True)
class Drawing:
    """A head drawn by a `HeadArtist`.

    Attributes:
        image_linear: Linear RGB, black where there is no head, premultiplied at the antialiased silhouette.
        coverage: How much of the pixel the head covers, [0, 1].
        skin: 1 where the front skin of the face is seen, else 0.
    """

    image_linear: Float32[np.ndarray, "size size 3"]
    coverage: Float32[np.ndarray, "size size"]
    skin: Float32[np.ndarray, "size size"]


@runtime_checkable
class HeadArtist(Protocol):
    """Who knows the morphable model: places its landmarks and draws it."""

    @property
    def identity_count(self) -> int:
        """Identity components."""
        ...

    @property
    def albedo_count(self) -> int:
        """Albedo components."""
        ...

    @property
    def relief_count(self) -> int:
        """Coefficients of shapes beyond the components; 0 for a head of components alone."""
        ...

    @property
    def skin_count(self) -> int:
        """Photographed skins that heads can wear; 0 for none."""
        ...

    @property
    def expression_names(self) -> tuple[str, ...]:
        """Blendshapes, by ARKit's names."""
        ...

    def landmarks_image(
        self, scene: HeadScene, intrinsics_px: Float32[np.ndarray, "3 3"], name: str
    ) -> Float32[np.ndarray, "landmark 3"]:
        """Points of a landmark set as (x_px, y_px, depth_mm)."""
        ...

    def draw(self, scene: HeadScene, intrinsics_px: Float32[np.ndarray, "3 3"], size: int) -> Drawing:
        """Draw the head into a square of `size` px."""
        ...


def truncated_normal(generator: np.random.Generator, deviation: float, limit: float) -> float:
    """A normal number that is drawn again while it lies beyond the limit."""
    while abs(value := float(generator.normal(0.0, deviation))) > limit:
        pass
    return value


def draw_coefficients(generator: np.random.Generator, count: int, limit: float) -> Float32[np.ndarray, " component"]:
    """Standard normal coefficients, clipped to plus and minus `limit`."""
    return generator.normal(size=count).clip(-limit, limit).astype(np.float32)


def draw_pose(generator: np.random.Generator) -> Float32[np.ndarray, "3"]:
    """(yaw, pitch, roll) in radians: half of the heads about the front, half anywhere up to the full profile."""
    frontal = generator.random() < 0.5
    yaw = truncated_normal(generator, 25.0, 90.0) if frontal else float(generator.uniform(-90.0, 90.0))
    degrees = [yaw, truncated_normal(generator, 15.0, 40.0), truncated_normal(generator, 12.0, 45.0)]
    return np.radians(degrees).astype(np.float32)


def draw_place(generator: np.random.Generator) -> Float32[np.ndarray, "3"]:
    """Translation in mm: from a selfie's distance to a telephoto's, up to some 15 degrees off the axis."""
    distance_mm = float(np.exp(generator.uniform(np.log(350.0), np.log(3000.0))))
    x, y = (np.tan(np.radians(truncated_normal(generator, 7.0, 15.0))) for _ in range(2))
    return np.array([x * distance_mm, y * distance_mm, -distance_mm], np.float32)


def draw_light(generator: np.random.Generator) -> tuple[Float32[np.ndarray, "3"], tuple[Lamp, ...]]:
    """Ambient light and one to three lamps, near white, exposed for the front of the face as a camera would."""
    count = int(generator.integers(1, 4))
    directions = [_towards_lamp(generator) for _ in range(count)]
    shares = generator.dirichlet(np.full(count, 1.5)) * generator.uniform(0.3, 0.88)
    ambient = 1.0 - float(shares.sum())
    # A lamp lights the front by its cosine, averaged over normals up to 60 degrees off: nearly (0.5 + z) / 1.5.
    front = ambient + float(
        np.sum([share * max(0.0, 0.5 + d[2]) / 1.5 for share, d in zip(shares, directions, strict=True)])
    )
    level = float(np.exp(truncated_normal(generator, 0.25, 0.5))) / max(front, 0.25)
    lamps = tuple(
        Lamp(direction, (level * share * _tint(generator, 0.08)).astype(np.float32))
        for direction, share in zip(directions, shares, strict=True)
    )
    return (level * ambient * _tint(generator, 0.05)).astype(np.float32), lamps


def draw_hair(generator: np.random.Generator) -> Float32[np.ndarray, "3"] | None:
    """From black over brown and red to blond and grey; some are bald."""
    if generator.random() < 0.25:
        return None
    darkness, redness = generator.uniform(0.01, 0.5) ** 1.5, generator.uniform(0.0, 0.7)
    return (darkness * np.array([1.0, 1.0 - 0.5 * redness, 1.0 - redness])).astype(np.float32)


def _towards_lamp(generator: np.random.Generator) -> Float32[np.ndarray, "3"]:
    # Most lamps hang before the face and above it; a few stand behind.
    direction = generator.normal(size=3) + (0.0, 0.5, 0.8)
    return (direction / np.linalg.norm(direction)).astype(np.float32)


def _tint(generator: np.random.Generator, spread: float) -> np.ndarray:
    return np.exp(generator.normal(0.0, spread) * _WARMTH + generator.normal(0.0, 0.2 * spread, 3))
