"""What is known of a drawn head and no picture holds: its vertices, with the expression and at rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from model.face.morphable_model import MorphableModel
from training.relief import Relief

VERTICES_KEY = "vertices_mm"
NEUTRAL_KEY = "neutral_mm"
"""What a batch of drawn heads holds beside a `FaceBatch`: true vertices (B, V, 3) in model space, mm, with the
expression and at rest."""


@dataclass(frozen=True)
class Truth:
    """Enough for the vertices of a drawn head.

    Attributes:
        identity: Standard deviations.
        expression: Weights in [0, 1] in the head's order.
        relief: Coefficients of shapes beyond the components; none where heads have no relief.
        mirrored: Whether all of it is to be mirrored.
    """

    identity: Float32[ndarray, " identity"]
    expression: Float32[ndarray, " expression"]
    relief: Float32[ndarray, " relief"]
    mirrored: bool = False


@torch.no_grad()
def true_vertices_mm(
    model: MorphableModel, relief: Relief | None, truths: Sequence[Truth]
) -> tuple[Float[Tensor, "batch vertex 3"], Float[Tensor, "batch vertex 3"]]:
    """Vertices of drawn heads in model space, mm, with their expression and at rest.

    Args:
        model: The head, on the CPU.
        relief: Shapes beyond its components, where the heads have any.
        truths: The heads.
    """
    identity = torch.stack([torch.from_numpy(truth.identity) for truth in truths])
    expression = torch.stack([torch.from_numpy(truth.expression) for truth in truths])
    neutral = model.neutral_mm(identity)
    if relief is not None:
        neutral = neutral + torch.stack([relief.offsets_mm(truth.relief) for truth in truths])
    posed = neutral + (expression @ model.expression_basis).unflatten(-1, (-1, 3))
    mirrored = torch.tensor([truth.mirrored for truth in truths])[:, None, None]
    flip = torch.tensor([-1.0, 1.0, 1.0])
    mirror = model.mirror.long()
    return (
        torch.where(mirrored, posed[:, mirror] * flip, posed),
        torch.where(mirrored, neutral[:, mirror] * flip, neutral),
    )
