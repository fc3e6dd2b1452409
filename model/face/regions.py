"""Parts of a head that several places ask for: named regions of its vertices, taken together.

A head may lack any region (a reader of a foreign model knows few): what it lacks has no vertices.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from model.face.morphable_model import MorphableModel

INSIDE = ("eye_sockets", "mouth_inner", "teeth", "tongue")
"""What is seen only between lids and lips."""

NO_SKIN = ("eyes", *INSIDE)


def any_region(model: MorphableModel, *names: str) -> Bool[Tensor, " vertex"]:
    """Vertices that lie in any of the regions."""
    found = torch.zeros(len(model.mean_mm), dtype=torch.bool, device=model.mean_mm.device)
    for name in names:
        if name in model.region_names:
            found = found | model.region(name)
    return found


def whole_face(model: MorphableModel) -> Bool[Tensor, " vertex"]:
    """The region `face`; all vertices of a head without one."""
    return any_region(model, "face") if "face" in model.region_names else ~any_region(model)


def facial_skin(model: MorphableModel, *without: str) -> Bool[Tensor, " vertex"]:
    """The face without eyes and what is inside, lips and lids included, and without further regions."""
    return whole_face(model) & ~any_region(model, *NO_SKIN, *without)


def triangles_of(model: MorphableModel, vertices: Bool[Tensor, " vertex"]) -> Bool[Tensor, " face"]:
    """Triangles with all three corners among these vertices."""
    return vertices[model.faces.long()].all(1)
