"""Skin that a morphable model cannot make: spots, hairs, pores and shine, painted over its albedo.

All of it is drawn at random and differs between the two sides of the face, so that neither statistics nor symmetry
can know it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region
from model.look.atlas import Atlas

_MELANIN = np.array([0.55, 0.85, 1.10], np.float32)
_BLOOD = np.array([0.12, 1.00, 0.75], np.float32)
"""Optical densities of the two pigments in red, green and blue, rough: brown spots are brown and blushes red."""

_MOTTLING = ((2.0, 0.03), (5.0, 0.035), (12.0, 0.04), (30.0, 0.05))
"""Size in texels of a 512 px texture, and standard deviation of the log albedo."""


@dataclass(frozen=True)
class PaintedSkin:
    """Maps over the head's texture space; row 0 is v = 1.

    Attributes:
        diffuse_linear: Diffuse albedo.
        specular_f0: Reflectance at normal incidence.
        roughness: Perceptual roughness.
    """

    diffuse_linear: Float[np.ndarray, "texture texture 3"]
    specular_f0: Float[np.ndarray, "texture texture"]
    roughness: Float[np.ndarray, "texture texture"]


def paint_skin(
    model: MorphableModel,
    atlas: Atlas,
    albedo_linear: Float[np.ndarray, "vertex 3"],
    hair_linear: Float[np.ndarray, "3"],
    random: np.random.Generator,
    *,
    freckles: int,
    stubble: float,
) -> PaintedSkin:
    """Paint a face.

    Args:
        model: The head.
        atlas: Its texture space.
        albedo_linear: What the morphable model says.
        hair_linear: Colour of the scalp, the brows' hairs and the stubble.
        random: Source of everything random.
        freckles: How many.
        stubble: Density of the beard, [0, 1].
    """
    painter = _Painter(model, atlas, random)
    log_albedo = np.log(painter.spread(np.clip(albedo_linear, 0.01, 1.0)))
    blood, melanin = painter.mottling(), painter.mottling()
    blood += 0.18 * painter.blotch((38.0, -38.0, 55.0), 20.0) + 0.14 * painter.blotch((-36.0, -34.0, 55.0), 17.0)
    blood += 0.15 * painter.blotch((3.0, -33.0, 85.0), 11.0) + 0.2 * painter.blotches(6, 6.0)
    melanin += 0.12 * painter.blotches(8, 9.0) + 0.06 * painter.grain(1.0)
    melanin += 0.5 * painter.spots(freckles, (0.5, 1.3), (0.0, -30.0, 75.0), 45.0)
    melanin += 1.1 * painter.spots(int(random.integers(4, 9)), (1.0, 2.2), (0.0, -30.0, 60.0), 80.0)
    lips = painter.region("lips")
    blood += lips * (0.15 + 0.12 * painter.grain(1.5))
    log_albedo -= melanin[..., None] * _MELANIN + blood[..., None] * _BLOOD
    hairs = 0.75 * painter.brows() + stubble * painter.beard()
    scalp = gaussian_filter(painter.region("scalp"), 4.0)
    hairs = np.clip(np.maximum(hairs, scalp * (0.85 + 0.15 * painter.grain(1.5))), 0.0, 1.0)[..., None]
    skin = np.clip(np.exp(log_albedo), 0.01, 0.95)
    # Eyes and the inside of the mouth stay what they are.
    inner = painter.region(*NO_SKIN)[..., None]
    diffuse = inner * painter.spread(np.clip(albedo_linear, 0.01, 1.0)) + (1.0 - inner) * (
        (1.0 - hairs) * skin + hairs * hair_linear
    )
    return PaintedSkin(diffuse.astype(np.float32), *painter.shine(lips, inner[..., 0]))


class _Painter:
    def __init__(self, model: MorphableModel, atlas: Atlas, random: np.random.Generator) -> None:
        self._model, self._atlas, self._random = model, atlas, random
        self._size = len(atlas.covered)
        self._place_mm = self.spread(model.mean_mm.numpy())
        # Noise and hairs are stated in texels of a 512 px texture.
        self._scale = self._size / 512.0

    def spread(self, values: Float[np.ndarray, "vertex channel"]) -> Float[np.ndarray, "texture texture channel"]:
        """Values per vertex over the whole texture."""
        return np.asarray(self._atlas.sample(values)[self._atlas.nearest], np.float32)

    def region(self, *names: str) -> Float[np.ndarray, "texture texture"]:
        """1 within any of the regions."""
        return self.spread(any_region(self._model, *names).float()[:, None].numpy())[..., 0]

    def grain(self, size: float) -> Float[np.ndarray, "texture texture"]:
        """Smooth noise of standard deviation 1."""
        noise = self._random.standard_normal((self._size, self._size)).astype(np.float32)
        noise = gaussian_filter(noise, size * self._scale)
        return noise / noise.std()

    def mottling(self) -> Float[np.ndarray, "texture texture"]:
        """Noise of all sizes."""
        return sum((deviation * self.grain(size) for size, deviation in _MOTTLING), np.zeros(1, np.float32))

    def blotch(self, centre_mm: tuple[float, float, float], radius_mm: float) -> Float[np.ndarray, "texture texture"]:
        """A soft patch around a place of the mean head."""
        distance = ((self._place_mm - np.array(centre_mm, np.float32)) ** 2).sum(-1)
        return np.exp(-0.5 * distance / radius_mm**2)

    def blotches(self, count: int, radius_mm: float) -> Float[np.ndarray, "texture texture"]:
        """Soft patches on the skin of the face, darker and lighter."""
        total = np.zeros((self._size, self._size), np.float32)
        for place in self._places(count, (0.0, -25.0, 70.0), 60.0):
            total += self._random.uniform(-1.0, 1.0) * self.blotch(place, radius_mm * self._random.uniform(0.5, 1.5))
        return total

    def spots(
        self, count: int, radius_mm: tuple[float, float], centre_mm: tuple[float, float, float], spread_mm: float
    ) -> Float[np.ndarray, "texture texture"]:
        """Spots with a rim, more of them near a place."""
        total = np.zeros((self._size, self._size), np.float32)
        for place in self._places(count, centre_mm, spread_mm):
            radius = self._random.uniform(*radius_mm)
            near = ((self._place_mm - np.array(place, np.float32)) ** 2).sum(-1) < (2.0 * radius) ** 2
            distance = np.sqrt(((self._place_mm[near] - np.array(place, np.float32)) ** 2).sum(-1))
            spot = 1.0 / (1.0 + np.exp(6.0 * (distance / radius - 1.0)))
            total[near] = np.maximum(total[near], self._random.uniform(0.4, 1.0) * spot)
        return total

    def brows(self) -> Float[np.ndarray, "texture texture"]:
        """Hairs along the brows."""
        picture = np.zeros((2 * self._size, 2 * self._size), np.uint8)
        points = self._landmark_texels(slice(17, 27)) * 2.0
        for side, outward in ((points[4::-1], -1.0), (points[5:], 1.0)):
            for _ in range(int(self._random.integers(150, 230))):
                along = self._random.uniform(0.0, len(side) - 1.001)
                first = int(along)
                root = side[first] + (along - first) * (side[first + 1] - side[first])
                root = root + self._random.normal(0.0, 5.0 * self._scale, 2)
                angle = self._random.normal(0.5, 0.35)
                length = self._random.uniform(10.0, 22.0) * self._scale
                tip = root + length * np.array([outward * np.cos(angle), -np.sin(angle)])
                start, end = (tuple(int(value) for value in np.rint(point)) for point in (root, tip))
                cv2.line(picture, start, end, 255, 1, cv2.LINE_AA)
        return cv2.resize(picture, (self._size, self._size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0

    def beard(self) -> Float[np.ndarray, "texture texture"]:
        """Stubble around mouth, jaw and chin: a shadow with dark dots."""
        mouth = self._model.landmarks(self._model.mean_mm[None])[0].numpy()[[51, 57]].mean(0)
        height = self._place_mm[..., 1] - mouth[1]
        zone = 1.0 / (1.0 + np.exp((height - 8.0) / 3.0)) * self.region("face") * (1.0 - self.region("lips"))
        zone = gaussian_filter(zone, 4.0 * self._scale) * (1.0 - self.region("lips"))
        patches = np.clip(0.7 + 0.3 * self.grain(14.0), 0.0, 1.0)
        return zone * patches * np.clip(0.35 + 0.35 * self.grain(0.8), 0.0, 1.0)

    def shine(
        self, lips: Float[np.ndarray, "texture texture"], inner: Float[np.ndarray, "texture texture"]
    ) -> tuple[Float[np.ndarray, "texture texture"], Float[np.ndarray, "texture texture"]]:
        """f0 and roughness: oily nose and forehead, wet lips and eyes."""
        oily = self.blotch((0.0, -30.0, 90.0), 16.0) + 0.8 * self.blotch((0.0, 45.0, 75.0), 28.0)
        oily += 0.4 * self.blotch((0.0, -95.0, 65.0), 14.0)
        roughness = 0.5 - 0.13 * oily + 0.025 * self.grain(3.0) + 0.03 * self.grain(15.0)
        roughness = roughness * (1.0 - lips) + lips * (0.34 + 0.02 * self.grain(2.0))
        f0 = 0.034 * np.exp(0.08 * self.grain(6.0)) + 0.006 * oily + 0.004 * lips
        roughness = roughness * (1.0 - inner) + 0.15 * inner
        f0 = f0 * (1.0 - inner) + 0.03 * inner
        return np.clip(f0, 0.015, 0.08).astype(np.float32), np.clip(roughness, 0.12, 0.9).astype(np.float32)

    def _places(
        self, count: int, centre_mm: tuple[float, float, float], spread_mm: float
    ) -> list[tuple[float, float, float]]:
        """Random vertices of the face, more of them near a place."""
        face = self._model.mean_mm.numpy()[self._model.region("face").numpy()]
        weight = np.exp(-0.5 * ((face - np.array(centre_mm)) ** 2).sum(-1) / spread_mm**2)
        chosen = self._random.choice(len(face), count, p=weight / weight.sum())
        jitter = self._random.normal(0.0, 1.0, (count, 3))
        return [(float(x), float(y), float(z)) for x, y, z in face[chosen] + jitter]

    def _landmark_texels(self, which: slice) -> Float[np.ndarray, "point 2"]:
        """Where landmarks lie in the texture, x and y in texels."""
        uv = np.zeros((len(self._model.mean_mm), 2), np.float32)
        uv[self._atlas.vertex] = self._atlas.uv
        points = self._model.landmarks(self._model.mean_mm.new_tensor(uv)[None])[0].numpy()[which]
        return np.stack((points[:, 0], 1.0 - points[:, 1]), -1) * self._size
