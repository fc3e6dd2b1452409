"""Specular reflectance and roughness of skin: statistical values by region, moved a little where the photograph asks.

One photograph hardly determines them: recovered maps are uncorrelated with the truth even where the albedo is known
(docs/log.md), so a handful of regional factors is all that is looked for by default.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from model.look.materials import REGIONS, Materials
from model.refine.raytrace import priors
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import irradiance, mixed_levels

_FREE_SIDE = 48
_LEAST_ROUGHNESS, _MOST_ROUGHNESS = 0.15, 0.95
_RATE = 0.03


def changed(base: Materials, log_factors: Float[Tensor, "place 2"]) -> Materials:
    """Materials times factors, within what skin can be."""
    factors = log_factors.exp()
    roughness = (base.roughness * factors[:, 1]).clamp(_LEAST_ROUGHNESS, _MOST_ROUGHNESS)
    return Materials(base.f0 * factors[:, 0], roughness)


class MaterialVariable:
    """The log factors on the statistical materials: none, one for each region, or a small map."""

    def __init__(self, config: RaytraceConfig, device: torch.device) -> None:
        """Start at no change."""
        self._config = config
        shape = (_FREE_SIDE, _FREE_SIDE, 2) if config.materials == "free" else (len(REGIONS), 2)
        self.raw = torch.zeros(shape, device=device, requires_grad=config.materials != "held")

    def __call__(self, shares: Float[Tensor, "place region"], uv: Float[Tensor, "place 2"]) -> Float[Tensor, "place 2"]:
        """The log factors at places."""
        if self._config.materials != "free":
            return shares @ self.raw
        return sample_texture(self.raw, uv)

    def fit(
        self,
        problem: SkinProblem,
        base: Materials,
        light: Float[Tensor, "light 3"],
        albedo_linear: Float[Tensor, "sample 3"],
        history: History,
    ) -> None:
        """Move the factors for given light and albedo."""
        config = self._config
        if config.materials == "held":
            return
        tables = problem.tables
        wide = tables.wide(light)
        reflected = torch.einsum("plk,kc->plc", tables.specular, wide)
        glancing = torch.einsum("plk,kc->plc", tables.grazing, wide)
        diffuse = albedo_linear * irradiance(tables, light)

        def terms() -> dict[str, Tensor]:
            now = changed(base, self(problem.regions, problem.uv))
            glossy = mixed_levels(tables.roughness_levels, reflected, glancing, now.f0, now.roughness)
            found = {
                "distance": problem.distance(diffuse + glossy),
                "regions": config.weights.regions * self.raw.square().mean(),
            }
            if config.materials == "free":
                everywhere = torch.ones(self.raw.shape[:2], dtype=torch.bool, device=self.raw.device)
                found["smoothness"] = config.weights.smoothness * priors.smoothness(self.raw, everywhere)
            return found

        descend(terms, ((self.raw, _RATE),), config.material_steps, history, "materials")


def sample_texture(
    texture: Float[Tensor, "texture texture channel"], uv: Float[Tensor, "place 2"]
) -> Float[Tensor, "place channel"]:
    """A map's values at texture coordinates, bilinear, 0 in other tiles than the map's; differentiable in the map."""
    grid = torch.stack((2.0 * uv[:, 0] - 1.0, 1.0 - 2.0 * uv[:, 1]), dim=-1)[None, None]
    found = grid_sample(texture.permute(2, 0, 1)[None], grid, padding_mode="border", align_corners=False)
    return found[0, :, 0].T * on_skin(uv)[:, None]


def on_skin(uv: Float[Tensor, "place 2"]) -> Bool[Tensor, " place"]:
    """Which texture coordinates lie in the first tile, the skin's (`model.face.parts`)."""
    return uv[:, 0] <= 1.0
