"""Specular reflectance and roughness of skin: statistical values by region, moved a little where the photograph asks.

One photograph hardly determines them: recovered maps are uncorrelated with the truth even where the albedo is known
(docs/log.md), so a handful of regional factors is all that is looked for by default.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from model.face.morphable_model import MorphableModel
from model.refine.raytrace import priors
from model.refine.raytrace.config import RaytraceConfig
from model.refine.raytrace.descent import History, descend
from model.refine.raytrace.skin_problem import SkinProblem
from model.refine.raytrace.transport_tables import irradiance, mixed_levels

_SKIN = (0.04, 0.45)
"""F0 of skin's refractive index 1.4 with the oil on it, and perceptual roughness (d'Eon and Luebke, GPU Gems 3, ch. 14,
give m of 0.3 for a Beckmann lobe on the whole face)."""
_BY_REGION: dict[str, tuple[float, float]] = {
    "nose": (0.04, 0.40),
    "lips": (0.04, 0.35),
    "eyelids": (0.04, 0.45),
    "eyes": (0.025, 0.15),
    "teeth": (0.05, 0.30),
    "tongue": (0.04, 0.30),
}
"""Where the head is not common skin. Weyrich et al. (SIGGRAPH 2006) find nose and forehead the glossiest skin, lips
wet; the order is theirs, the numbers are round."""
_FOREHEAD = (0.04, 0.42)
_FOREHEAD_EDGE_MM = 6.0

REGIONS = ("skin", "forehead", "nose", "lips", "eyelids")
_FREE_SIDE = 48
_LEAST_ROUGHNESS, _MOST_ROUGHNESS = 0.15, 0.95
_RATE = 0.03


@dataclass(frozen=True)
class Materials:
    """Of places of the head: vertices, samples, or texels.

    Attributes:
        f0: Reflectance at normal incidence.
        roughness: Perceptual roughness.
    """

    f0: Float[Tensor, " place"]
    roughness: Float[Tensor, " place"]


def region_shares(morphable_model: MorphableModel) -> Float[Tensor, "vertex region"]:
    """Share of each of `REGIONS` in each vertex; they add to 1."""
    mean_mm = morphable_model.mean_mm
    shares = torch.zeros(len(mean_mm), len(REGIONS), device=mean_mm.device)
    brows_mm = morphable_model.landmarks(mean_mm[None])[0, 17:27, 1].max()
    shares[:, 1] = torch.sigmoid((mean_mm[:, 1] - brows_mm) / _FOREHEAD_EDGE_MM)
    for index, name in enumerate(REGIONS[2:], start=2):
        if name in morphable_model.region_names:
            inside = morphable_model.region(name)
            shares[inside] = 0.0
            shares[inside, index] = 1.0
    shares[:, 0] = 1.0 - shares[:, 1:].sum(1)
    return shares


def statistical_materials(morphable_model: MorphableModel) -> Materials:
    """Of the vertices, before any photograph."""
    forehead = region_shares(morphable_model)[:, 1]
    values = torch.tensor(_SKIN, device=forehead.device).repeat(len(forehead), 1)
    values = values + forehead[:, None] * (values.new_tensor(_FOREHEAD) - values)
    for name, of_region in _BY_REGION.items():
        if name in morphable_model.region_names:
            values[morphable_model.region(name)] = values.new_tensor(of_region)
    return Materials(values[:, 0].contiguous(), values[:, 1].contiguous())


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
