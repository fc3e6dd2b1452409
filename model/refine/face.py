"""What the stages of the refinement hand to each other: one face at a time, so that no field has a batch of its own.

    FaceCrop + FittedFace ──> landmark fit ──> FittedFace ──> raster fit ──> FittedFace ──> ray-traced stage ──> ...

Parameters and detail keep their leading batch axis, which is 1, because the morphable model wants it.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from common.tensor_groups import map_tensors
from model.face.detail import Detail
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import Mesh
from model.parameters import FaceParameters


@dataclass(frozen=True)
class FaceCrop:
    """The square window of a photograph that a face is fitted to; px are its own.

    Attributes:
        image_srgb: The window in [0, 1].
        inside: 1 where the photograph is, 0 where the window reaches beyond it.
        color: False for a black-and-white photograph: there only luminance may be compared.
        intrinsics_px: Camera of the photograph, moved and scaled to the window.
        landmarks68_px: iBUG's 68 points.
        landmarks68_weight: 0 where a point is unknown, up to 1.
    """

    image_srgb: Float[Tensor, "3 size size"]
    inside: Float[Tensor, "size size"]
    color: bool
    intrinsics_px: Float[Tensor, "3 3"]
    landmarks68_px: Float[Tensor, "68 2"]
    landmarks68_weight: Float[Tensor, "68"]

    @property
    def size_px(self) -> int:
        """Side of the window."""
        return self.image_srgb.shape[-1]


@dataclass(frozen=True)
class FittedFace:
    """The answer so far about one face.

    Attributes:
        parameters: Of the morphable model; batch of 1.
        detail: What is added to its vertices; batch of 1, or None.
        intrinsics_px: Camera of the window; a stage may have found another focal length.
        unoccluded: 1 where the window shows the face itself and not hair, glasses or a hand before it; None while
            nobody has looked.
    """

    parameters: FaceParameters
    detail: Detail | None
    intrinsics_px: Float[Tensor, "3 3"]
    unoccluded: Float[Tensor, "size size"] | None = None

    def mesh(self, morphable_model: MorphableModel) -> Mesh:
        """The head it describes; differentiable."""
        parameters = self.parameters
        vertices_mm = morphable_model.vertices_mm(parameters.identity, parameters.expression)
        albedo_linear = morphable_model.albedo_linear(parameters.albedo)
        if self.detail is not None:
            vertices_mm = vertices_mm + self.detail.offsets_mm
            albedo_linear = albedo_linear + self.detail.albedo_linear
        return Mesh(vertices_mm, parameters.to_camera(vertices_mm), albedo_linear)


@dataclass(frozen=True)
class StageRecord:
    """What became of one stage; goes into the face's `refinement.json`.

    Attributes:
        name: The stage.
        accepted: False where its answer was worse and the one before was kept.
        reason: Why, in words for the user.
        seconds: What it took.
        figures: Single numbers by name with unit, for example `psnr_before_db`.
        history: Value of every term of the objective in every step.
    """

    name: str
    accepted: bool
    reason: str
    seconds: float
    figures: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)


def detached(face: FittedFace) -> FittedFace:
    """The same face without the graph that led to it."""

    def plain(value: Tensor) -> Tensor:
        return value.detach().clone(memory_format=torch.contiguous_format)

    return map_tensors(face, plain)
