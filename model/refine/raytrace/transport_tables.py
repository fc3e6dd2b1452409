"""`TransportTables`: how much of each basis light leaves each sample of the face towards the camera.

With geometry and camera fixed, what the camera sees is linear in the light and, for a given light, linear in the
albedo (precomputed radiance transfer: Sloan et al., SIGGRAPH 2002; Ng et al., SIGGRAPH 2003). Visibility is traced
once; light and skin are then optimised without noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.tensor_groups import map_tensors


@dataclass(frozen=True)
class TransportTables:
    """Transport of K basis lights to P samples of the surface.

    The radiance of a sample is

        albedo * (diffuse @ light + bounce . wide) + f0 * (specular @ wide) + grazing @ wide

    where `wide` is the light itself, or `spread @ light`: shadow edges want hundreds of narrow lights, bounced and
    reflected light is soft, and its tables are many times as large.

    Attributes:
        diffuse: Integral of basis radiance x visibility x max(0, n . w) / pi: under light of radiance 1 from
            everywhere, an unshadowed sample has 1.
        bounce: Light that arrives by one diffuse reflection at another place of the head, per colour channel, with the
            albedo the tables were made with; None without.
        specular: GGX reflection, Schlick's Fresnel term split as F = f0 (1 - c) + c with c = (1 - h . w)^5: the part
            weighted with (1 - c), for each roughness level. To be multiplied with f0.
        grazing: The part weighted with c, for each roughness level. It does not depend on f0.
        roughness_levels: Perceptual roughness of the levels, ascending; alpha = roughness squared.
        spread: From the K lights to the fewer, wider ones of the other tables; None where they are the same.
    """

    diffuse: Float[Tensor, "sample light"]
    bounce: Float[Tensor, "sample wide 3"] | None
    specular: Float[Tensor, "sample level wide"]
    grazing: Float[Tensor, "sample level wide"]
    roughness_levels: Float[Tensor, " level"]
    spread: Float[Tensor, "wide light"] | None = None

    def wide(self, light: Float[Tensor, "light 3"]) -> Float[Tensor, "wide 3"]:
        """The light as the bounce and glossy tables have it."""
        return light if self.spread is None else self.spread @ light

    def to(self, device: torch.device) -> "TransportTables":
        """The same on another device."""
        return map_tensors(self, lambda values: values.to(device))

    def part(self, which: Int[Tensor, " some"]) -> "TransportTables":
        """Some of the samples."""
        return TransportTables(
            diffuse=self.diffuse[which],
            bounce=None if self.bounce is None else self.bounce[which],
            specular=self.specular[which],
            grazing=self.grazing[which],
            roughness_levels=self.roughness_levels,
            spread=self.spread,
        )


def shade(
    tables: TransportTables,
    light: Float[Tensor, "light 3"],
    albedo_linear: Float[Tensor, "sample 3"],
    f0: Float[Tensor, " sample"],
    roughness: Float[Tensor, " sample"],
) -> Float[Tensor, "sample 3"]:
    """Radiance of the samples in linear RGB; differentiable in everything but the tables.

    Args:
        tables: The transport.
        light: Coefficients of the basis lights per colour channel.
        albedo_linear: Diffuse albedo.
        f0: Reflectance at normal incidence.
        roughness: Perceptual roughness; between the levels it is interpolated linearly, outside it is clamped.
    """
    return albedo_linear * irradiance(tables, light) + glossy(tables, light, f0, roughness)


def irradiance(tables: TransportTables, light: Float[Tensor, "light 3"]) -> Float[Tensor, "sample 3"]:
    """What the albedo is multiplied with: direct light, and bounced light if the tables have it."""
    direct = tables.diffuse @ light
    if tables.bounce is None:
        return direct
    return direct + torch.einsum("plc,lc->pc", tables.bounce, tables.wide(light))


def glossy(
    tables: TransportTables,
    light: Float[Tensor, "light 3"],
    f0: Float[Tensor, " sample"],
    roughness: Float[Tensor, " sample"],
) -> Float[Tensor, "sample 3"]:
    """Radiance of the GGX reflection."""
    wide = tables.wide(light)
    reflected = torch.einsum("plk,kc->plc", tables.specular, wide)
    glancing = torch.einsum("plk,kc->plc", tables.grazing, wide)
    return mixed_levels(tables.roughness_levels, reflected, glancing, f0, roughness)


def mixed_levels(
    levels: Float[Tensor, " level"],
    reflected: Float[Tensor, "sample level channel"],
    glancing: Float[Tensor, "sample level channel"],
    f0: Float[Tensor, " sample"],
    roughness: Float[Tensor, " sample"],
) -> Float[Tensor, "sample channel"]:
    """The reflection of a material from what each level of roughness reflects, under a light or under basis lights."""
    below, share = _level(levels, roughness)
    weights = torch.zeros(len(roughness), len(levels), dtype=roughness.dtype, device=roughness.device)
    weights = weights.scatter(1, below[:, None], (1.0 - share)[:, None])
    weights = weights.scatter_add(1, (below + 1)[:, None], share[:, None])
    return (weights[..., None] * (f0[:, None, None] * reflected + glancing)).sum(1)


def _level(levels: Float[Tensor, " level"], roughness: Float[Tensor, " sample"]) -> tuple[Tensor, Tensor]:
    clamped = roughness.clamp(float(levels[0]), float(levels[-1]))
    below = torch.searchsorted(levels, clamped.detach(), right=True).sub(1).clamp(0, len(levels) - 2)
    low, high = levels[below], levels[below + 1]
    return below, (clamped - low) / (high - low)
