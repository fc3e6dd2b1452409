"""`Observation`: what a loss may know about a batch of photographs. Here, and only here, the data's dict gets types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Observation:
    """A batch of crops with their labels; px are crop px.

    Attributes:
        image_srgb: Crops in [0, 1].
        color: False where the photograph is grey: there only luminance may be compared.
        intrinsics_px: Intrinsics of the crops.
        landmarks68_px: iBUG's 68 as (x, y, z): x right, y down, z towards the viewer with zero mean, all in px.
        landmarks68_weight: 0 where there is no label, up to 1.
        landmarks478_px: MediaPipe's 478 points.
        landmarks478_weight: 0 where there is no mesh or it is doubtful, up to 1.
        skin_mask: 1 where the skin of the face can be expected.
        person: Person number, -1 where unknown.
        recognition_embedding: What a face-recognition network says of each photograph; zeros where the weight is 0.
        recognition_embedding_weight: 1 where there is an embedding, else 0.
        blendshapes: Weights of ARKit's 52 blendshapes by alphabet; zeros where the weight is 0.
        blendshapes_weight: 0 where there are none, up to 1.
    """

    image_srgb: Float[Tensor, "batch 3 size size"]
    color: Bool[Tensor, " batch"]
    intrinsics_px: Float[Tensor, "batch 3 3"]
    landmarks68_px: Float[Tensor, "batch 68 3"]
    landmarks68_weight: Float[Tensor, " batch"]
    landmarks478_px: Float[Tensor, "batch 478 2"]
    landmarks478_weight: Float[Tensor, " batch"]
    skin_mask: Float[Tensor, "batch size size"]
    person: Int[Tensor, " batch"]
    recognition_embedding: Float[Tensor, "batch embedding"]
    recognition_embedding_weight: Float[Tensor, " batch"]
    blendshapes: Float[Tensor, "batch 52"]
    blendshapes_weight: Float[Tensor, " batch"]

    @classmethod
    def from_dict(cls, sample: Mapping[str, Any]) -> "Observation":
        """Make it from a collated `FaceSample` (`data.sample` lists the keys); keys that losses do not use are left.

        Raises:
            KeyError: If a key is missing.
        """
        return cls(**{name: sample[name] for name in cls.__dataclass_fields__})

    @classmethod
    def fake(cls, batch: int = 2, size: int = 64, seed: int = 0) -> "Observation":
        """A valid observation of nothing in particular, for tests: noise, and points inside the crop."""
        generator = torch.Generator().manual_seed(seed)
        focal_px = 4.0 * size
        intrinsics = torch.tensor([[focal_px, 0.0, 0.5 * size], [0.0, focal_px, 0.5 * size], [0.0, 0.0, 1.0]])
        return cls(
            image_srgb=torch.rand(batch, 3, size, size, generator=generator),
            color=torch.ones(batch, dtype=torch.bool),
            intrinsics_px=intrinsics.repeat(batch, 1, 1),
            landmarks68_px=size * torch.rand(batch, 68, 3, generator=generator),
            landmarks68_weight=torch.ones(batch),
            landmarks478_px=size * torch.rand(batch, 478, 2, generator=generator),
            landmarks478_weight=torch.ones(batch),
            skin_mask=torch.ones(batch, size, size),
            person=torch.full((batch,), -1),
            recognition_embedding=torch.randn(batch, 128, generator=generator),
            recognition_embedding_weight=torch.ones(batch),
            blendshapes=torch.rand(batch, 52, generator=generator),
            blendshapes_weight=torch.ones(batch),
        )

    @property
    def box_px(self) -> Float[Tensor, " batch"]:
        """Size of each face: the square root of the area of its 68 points' box, or of the mesh's where those lack."""
        return torch.where(self.landmarks68_weight > 0, _size(self.landmarks68_px), _size(self.landmarks478_px))


def _size(points_px: Float[Tensor, "batch point dimension"]) -> Float[Tensor, " batch"]:
    extent = points_px[..., :2].amax(1) - points_px[..., :2].amin(1)
    return extent.prod(-1).clamp(min=1.0).sqrt()
