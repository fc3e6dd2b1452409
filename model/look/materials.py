"""What skin is made of besides its colour: reflectance and roughness by region, before any photograph."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from model.face.morphable_model import MorphableModel

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
