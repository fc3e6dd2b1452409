"""`FaceParameters`: what the encoder answers, as named groups (never one vector cut by numbers)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LIGHTING_COEFFICIENTS = 9
"""Spherical harmonics of three bands."""

NEUTRAL_DISTANCE_MM = 800.0
"""Where `FaceParameters.neutral` puts the head: at portrait distance in front of the camera."""


@dataclass(frozen=True)
class FaceParameters:
    """Everything needed to draw a batch of faces with a morphable model.

    Attributes:
        identity: Shape coefficients in standard deviations, typically in -3..3.
        expression: Blendshape weights in [0, 1], in the order of the model's `expression_names`.
        albedo: Albedo coefficients in standard deviations, typically in -3..3.
        rotation: Model space to camera space.
        translation_mm: Model origin in camera space; its z is negative in front of the camera.
        lighting: Spherical-harmonic coefficients per colour channel, basis of `model.render.lighting`.
    """

    identity: Float[Tensor, "batch identity"]
    expression: Float[Tensor, "batch expression"]
    albedo: Float[Tensor, "batch albedo"]
    rotation: Float[Tensor, "batch 3 3"]
    translation_mm: Float[Tensor, "batch 3"]
    lighting: Float[Tensor, "batch 9 3"]

    @classmethod
    def neutral(
        cls, batch: int, identity_count: int, expression_count: int, albedo_count: int, device: str = "cpu"
    ) -> "FaceParameters":
        """The mean face, unlit (shading 1), facing the camera at 800 mm."""
        lighting = torch.zeros(batch, LIGHTING_COEFFICIENTS, 3, device=device)
        lighting[:, 0] = 1.0
        return cls(
            identity=torch.zeros(batch, identity_count, device=device),
            expression=torch.zeros(batch, expression_count, device=device),
            albedo=torch.zeros(batch, albedo_count, device=device),
            rotation=torch.eye(3, device=device).repeat(batch, 1, 1),
            translation_mm=torch.tensor([0.0, 0.0, -NEUTRAL_DISTANCE_MM], device=device).repeat(batch, 1),
            lighting=lighting,
        )

    def to_camera(self, points_mm: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 3"]:
        """Carry model-space points into camera space: `R @ p + t`."""
        return points_mm @ self.rotation.transpose(1, 2) + self.translation_mm[:, None]
