"""`SkinProblem`: what the ray-traced stage knows of one photograph, at the samples of the face that it sees."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from common.psnr import psnr_db
from model.refine.raytrace.transport_tables import TransportTables
from model.render.color import linear_to_srgb, luminance, srgb_to_linear

_SATURATED_SRGB = 0.985
"""A channel above this may have been anything brighter."""


@dataclass(frozen=True)
class SkinProblem:
    """P samples, A albedo components, R regions, K basis lights.

    Attributes:
        observed_linear: The photograph, linear RGB; three equal channels where it is grey.
        saturated: Channels at the top of the photograph's range: the radiance is that or more.
        weight: How far each sample shows bare skin, [0, 1].
        color: False for a black-and-white photograph.
        uv: Texture coordinates, v up.
        albedo_mean: Mean albedo of the morphable model.
        albedo_basis: Its components.
        regions: Share of each region of the skin in each sample; the shares of a sample add to 1.
        tables: Light transport to the samples.
    """

    observed_linear: Float[Tensor, "sample 3"]
    saturated: Bool[Tensor, "sample 3"]
    weight: Float[Tensor, " sample"]
    color: bool
    uv: Float[Tensor, "sample 2"]
    albedo_mean: Float[Tensor, "sample 3"]
    albedo_basis: Float[Tensor, "component sample 3"]
    regions: Float[Tensor, "sample region"]
    tables: TransportTables

    def part(self, which: Int[Tensor, " some"]) -> "SkinProblem":
        """Some of the samples."""
        return SkinProblem(
            observed_linear=self.observed_linear[which],
            saturated=self.saturated[which],
            weight=self.weight[which],
            color=self.color,
            uv=self.uv[which],
            albedo_mean=self.albedo_mean[which],
            albedo_basis=self.albedo_basis[:, which],
            regions=self.regions[which],
            tables=self.tables.part(which),
        )

    def albedo_linear(self, coefficients: Float[Tensor, " component"]) -> Float[Tensor, "sample 3"]:
        """The statistical albedo, at least 0.01: darker skin there is none, and a logarithm is taken of it."""
        linear = self.albedo_mean + torch.einsum("a,apc->pc", coefficients, self.albedo_basis)
        return linear.clamp(0.01, 1.0)

    def tone(self, albedo_linear: Float[Tensor, "sample 3"]) -> Float[Tensor, "3"]:
        """Weighted mean log of an albedo, by channel."""
        total = self.weight.sum().clamp(min=1e-6)
        return (albedo_linear.clamp(min=1e-3).log() * self.weight[:, None]).sum(0) / total

    def residual_srgb(self, radiance_linear: Float[Tensor, "sample 3"]) -> Float[Tensor, "sample 3"]:
        """Rendering minus photograph in sRGB, 0 where the photograph is saturated and the rendering is brighter."""
        if not self.color:
            radiance_linear = luminance(radiance_linear)[:, None].expand_as(radiance_linear)
        difference = linear_to_srgb(radiance_linear) - linear_to_srgb(self.observed_linear)
        return torch.where(self.saturated, difference.clamp(max=0.0), difference)

    def distance(self, radiance_linear: Float[Tensor, "sample 3"]) -> Float[Tensor, ""]:
        """Weighted mean absolute residual."""
        size = (self.residual_srgb(radiance_linear).square() + 1e-6).sqrt().mean(1)
        return (self.weight * size).sum() / self.weight.sum().clamp(min=1e-6)

    def psnr_db(self, radiance_linear: Float[Tensor, "sample 3"]) -> float:
        """Weighted peak signal-to-noise ratio in sRGB, as the picture is seen: clipped to [0, 1]."""
        if not self.color:
            radiance_linear = luminance(radiance_linear)[:, None].expand_as(radiance_linear)
        difference = linear_to_srgb(radiance_linear.clamp(0.0, 1.0)) - linear_to_srgb(self.observed_linear)
        return psnr_db((self.weight * difference.square().mean(1)).sum() / self.weight.sum().clamp(min=1e-6))


def observe(
    image_srgb: Float[Tensor, "3 size size"], pixel_index: Tensor
) -> tuple[Float[Tensor, "sample 3"], Bool[Tensor, "sample 3"]]:
    """The photograph at samples: linear RGB and which channels are saturated."""
    values = image_srgb.flatten(1).T[pixel_index]
    return srgb_to_linear(values), values >= _SATURATED_SRGB
