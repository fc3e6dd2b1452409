"""What the losses and the measures ask of a face-recognition network."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class RecognitionNetwork(Protocol):
    """A recognition network: aligned faces to vectors that are alike for one person.

    It is a yardstick, never a part of what is trained: its weights are frozen, it stays in evaluation mode whatever
    contains it, and gradients pass through it to the picture. Both members are modules, so they move by `to`.

    Attributes:
        face_size_px: Side of the aligned faces it takes.
        feature_count: Length of its vectors.
        template_px: Where eye centres (the subject's right one first), nose tip and mouth corners lie in them.
    """

    face_size_px: int
    feature_count: int
    template_px: Float[Tensor, "5 2"]

    def embed(self, faces_srgb: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch feature"]:
        """Vectors of aligned faces, sRGB in [0, 1]; differentiable with respect to them."""
        ...

    def similarity(
        self, first: Float[Tensor, "batch feature"], second: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, " batch"]:
        """How alike two vectors are by the measure this network was trained for: 1 for the same vector."""
        ...

    def to(self, device: torch.device, /) -> "RecognitionNetwork":
        """Move it to a device."""
        ...


def at_least_single(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half precision as single: places in pictures and distances of vectors need more digits than it has."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def cosine(first: Float[Tensor, "batch feature"], second: Float[Tensor, "batch feature"]) -> Float[Tensor, " batch"]:
    """Cosine of the vectors' angle."""
    return torch.nn.functional.cosine_similarity(at_least_single(first), at_least_single(second), dim=-1)
