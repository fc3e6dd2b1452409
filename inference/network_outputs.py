"""The network as what is exported needs it: two tensors in, named tensors out, and no more of the head than its points.

What it answers is what `Reconstructor.encode` and `landmarks_image` answer.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder.reading import read_seen
from model.geometry.camera import project
from model.parameters import FaceParameters
from model.reconstructor import Encoded, Reconstructor

INPUTS = ("image_srgb", "intrinsics_px")
"""Crops (B, 3, S, S) in [0, 1], and their intrinsics (B, 3, 3)."""

PARAMETERS = ("identity", "expression", "albedo", "rotation", "translation_mm", "lighting")
"""Outputs that make `FaceParameters`."""

LANDMARKS = "landmarks68_image"
"""Output (B, 68, 3): iBUG's points of the head without detail as (x_px, y_px, depth_mm), px of the crop."""

POINTS = ("points_px", "points_distance_px")
"""Outputs of networks that look for points: where each is seen, in px of the crop, and how far off that may be."""

FEATURES = "features"
"""Output (B, F): the backbone's features of the whole crop, which a mesh decoder reads."""


class NetworkOutputs(nn.Module):
    """Backbone, heads and landmarks of a reconstructor.

    Attributes:
        names: What its outputs are called, in their order.
        image_size: Side of the crops in px.
    """

    mean_mm: Float[Tensor, "landmark 3"]
    identity_basis: Float[Tensor, "identity coordinate"]
    expression_basis: Float[Tensor, "expression coordinate"]

    def __init__(self, reconstructor: Reconstructor) -> None:
        """Take the parts of a reconstructor; its head's vertices are left out."""
        super().__init__()
        model = reconstructor.morphable_model
        self.image_size = reconstructor.image_size
        self.backbone = reconstructor.backbone
        self.parameter_head = reconstructor.parameter_head
        self.point_update = reconstructor.point_update
        self.aligned_look = reconstructor.aligned_look
        self.register_buffer("mean_mm", model.landmarks(model.mean_mm[None])[0])
        self.register_buffer("identity_basis", model.get_buffer("ibug68_identity"))
        self.register_buffer("expression_basis", model.get_buffer("ibug68_expression"))
        self.names = (*PARAMETERS, LANDMARKS, *(POINTS if self.point_update is not None else ()), FEATURES)
        self.train(reconstructor.training)

    def forward(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> tuple[Tensor, ...]:
        """Answer a batch of crops.

        Args:
            image_srgb: Crops in [0, 1].
            intrinsics_px: Their intrinsics.

        Returns:
            The outputs in the order of `names`.
        """
        seen = self.backbone.split(self.backbone(image_srgb))
        parts = self.parameter_head, self.point_update, self.aligned_look
        parameters = read_seen(seen, intrinsics_px, self.image_size, *parts)
        points: tuple[Tensor, ...] = ()
        if self.point_update is not None:
            points = self.image_size * seen.points, self.image_size * seen.log_distance.exp()
        offsets_mm = parameters.identity @ self.identity_basis + parameters.expression @ self.expression_basis
        points_mm = self.mean_mm + offsets_mm.unflatten(-1, (-1, 3))
        landmarks = project(parameters.to_camera(points_mm), intrinsics_px)
        return (*(getattr(parameters, name) for name in PARAMETERS), landmarks, *points, seen.pooled)


def parameters_of(outputs: dict[str, Tensor]) -> FaceParameters:
    """The parameters among named outputs."""
    return FaceParameters(**{name: outputs[name] for name in PARAMETERS})


def encoded_of(outputs: dict[str, Tensor]) -> Encoded:
    """What a reconstructor's `look_at` answers, of named outputs."""
    return Encoded(parameters_of(outputs), outputs[FEATURES])


def example_inputs(image_size: int, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crops and cameras that are no photographs but as varied: soft noise, views of 8 to 30 degrees.

    Args:
        image_size: Side of the crops in px.
        batch: How many.
        seed: Others for another number.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 7, 7, generator=generator)
    soft = nn.functional.interpolate(coarse, size=(image_size, image_size), mode="bicubic", align_corners=False)
    noise = 0.1 * torch.randn(batch, 3, image_size, image_size, generator=generator)
    focal_px = image_size * (2.0 + 5.0 * torch.rand(batch, generator=generator))
    middle_px = image_size * (0.5 + torch.randn(batch, 2, generator=generator))
    intrinsics_px = torch.eye(3).repeat(batch, 1, 1)
    intrinsics_px[:, 0, 0] = intrinsics_px[:, 1, 1] = focal_px
    intrinsics_px[:, :2, 2] = middle_px
    return (soft + noise).clamp(0.0, 1.0), intrinsics_px
