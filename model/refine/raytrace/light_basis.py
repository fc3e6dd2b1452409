"""Distant light as a sum of K functions of the direction: spherical harmonics or spherical Gaussians.

Convention: camera space; a direction points from the head towards where the light comes from; values are radiance, and
a light is `(K, 3)` coefficients, one column per colour channel. Latitude-longitude pictures are those of
`model.look.appearance`: row 0 looks up (+y), the middle column looks along -z, columns go on towards +x.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

MAX_BANDS = 9


@runtime_checkable
class LightBasis(Protocol):
    """K functions of the direction."""

    @property
    def count(self) -> int:
        """K."""
        ...

    @property
    def nonnegative(self) -> bool:
        """Whether the functions are non-negative, so that coefficients of 0 or more make light that exists."""
        ...

    def radiance(self, directions: Float[Tensor, "direction 3"]) -> Float[Tensor, "direction light"]:
        """The functions' values at unit vectors."""
        ...


class HarmonicLight:
    """Real spherical harmonics of 1 to 9 bands; L bands are L squared functions.

    Scale: Y_lm / Y_00, so that the mean of each function's square over all directions is 1, the first function is 1,
    and **the coefficients of the first three bands are those of `model.render.lighting`**: there, shading is this light
    convolved with the clamped cosine. Order: l squared + l + m; polar axis z; no Condon-Shortley sign.
    """

    nonnegative = False

    def __init__(self, bands: int = 5) -> None:
        """Make a basis.

        Raises:
            ValueError: If there are not 1 to 9 bands.
        """
        if not 1 <= bands <= MAX_BANDS:
            raise ValueError(f"{bands} bands of harmonics; choose 1 to {MAX_BANDS}")
        self.bands = bands

    @property
    def count(self) -> int:
        """Bands squared."""
        return self.bands**2

    def radiance(self, directions: Float[Tensor, "direction 3"]) -> Float[Tensor, "direction light"]:
        """The harmonics at unit vectors.

        Recurrences of the normalised associated Legendre functions without their factor sin(theta)^m, which goes into
        the powers of x + iy (Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013).
        """
        x, y, z = directions.unbind(-1)
        values = directions.new_empty(self.count, len(directions))
        real, imaginary, diagonal = torch.ones_like(x), torch.zeros_like(x), 1.0
        for m in range(self.bands):
            if m:
                real, imaginary = real * x - imaginary * y, real * y + imaginary * x
                diagonal *= math.sqrt((2 * m + 1) / (2 * m) * (2 if m == 1 else 1))
            before, legendre = torch.zeros_like(x), torch.full_like(x, diagonal)
            for band in range(m, self.bands):
                if band > m:
                    step = math.sqrt((4 * band**2 - 1) / (band**2 - m**2))
                    back = math.sqrt(((band - 1) ** 2 - m**2) / (4 * (band - 1) ** 2 - 1)) if band > m + 1 else 0.0
                    before, legendre = legendre, step * (z * legendre - back * before)
                middle = band * band + band
                values[middle + m] = legendre * real
                if m:
                    values[middle - m] = legendre * imaginary
        return values.T.contiguous()


class GaussianLight:
    """N spherical Gaussians exp(s (w . axis - 1)) on a Fibonacci lattice (Wang et al., SIGGRAPH Asia 2009).

    Scaled so that coefficients of 1 make a light of mean radiance 1 that ripples by 2 % (standard deviation; up to
    14 % at the lattice's poles). Narrower lobes ripple more, wider ones are harder to tell apart.
    """

    nonnegative = True

    def __init__(self, lobes: int = 64) -> None:
        """Make a basis.

        Raises:
            ValueError: If there are fewer than 4 lobes.
        """
        if lobes < 4:
            raise ValueError(f"{lobes} lobes do not cover the sphere; choose 4 or more")
        self.axes = fibonacci_directions(lobes)
        # Measured at 32, 64 and 128 lobes: the ripple is 2 to 3 %, and the condition number of the basis 7.
        self.sharpness = 0.25 * lobes
        mean = (1.0 - math.exp(-2.0 * self.sharpness)) / (2.0 * self.sharpness)
        self._scale = 1.0 / (lobes * mean)

    @property
    def count(self) -> int:
        """Number of lobes."""
        return len(self.axes)

    def radiance(self, directions: Float[Tensor, "direction 3"]) -> Float[Tensor, "direction light"]:
        """The lobes at unit vectors."""
        axes = self.axes.to(directions)
        return self._scale * torch.exp(self.sharpness * (directions @ axes.T - 1.0))


def fibonacci_directions(count: int) -> Float[Tensor, "direction 3"]:
    """Directions spread evenly over the sphere, each for a solid angle of 4 pi / count.

    The spherical Fibonacci lattice (Keinert et al., SIGGRAPH Asia 2015), pole +y.
    """
    index = torch.arange(count, dtype=torch.float64)
    height = 1.0 - (2.0 * index + 1.0) / count
    azimuth = index * (math.pi * (3.0 - math.sqrt(5.0)))
    radius = (1.0 - height**2).sqrt()
    return torch.stack((radius * azimuth.cos(), height, radius * azimuth.sin()), dim=-1).float()


def latlong_directions(rows: int, columns: int) -> Float[Tensor, "rows columns 3"]:
    """Unit vectors of the centres of a latitude-longitude picture's pixels."""
    polar = (torch.arange(rows) + 0.5) * (math.pi / rows)
    azimuth = (torch.arange(columns) + 0.5) * (2.0 * math.pi / columns) - math.pi
    polar, azimuth = torch.meshgrid(polar, azimuth, indexing="ij")
    return torch.stack((polar.sin() * azimuth.sin(), polar.cos(), -polar.sin() * azimuth.cos()), dim=-1)


def environment(
    basis: LightBasis, light: Float[Tensor, "light 3"], rows: int, columns: int
) -> Float[Tensor, "rows columns 3"]:
    """The light as a latitude-longitude picture of radiance; harmonics may be negative somewhere."""
    directions = latlong_directions(rows, columns).to(light)
    return (basis.radiance(directions.flatten(0, 1)) @ light).view(rows, columns, 3)
