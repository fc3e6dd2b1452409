"""The sum of the losses, every term by name."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.losses.landmarks import landmark_depth, landmark_distance, relative_distance
from model.losses.photometric import photometric
from model.losses.priors import (
    albedo_range,
    exposure_prior,
    gaussian_prior,
    negative_light,
    sparse_prior,
    white_light,
)
from model.losses.symmetry import mirror_difference
from model.observation import Observation
from model.reconstructor import Reconstruction
from model.render.renderer import Rendering

LIDS_AND_LIPS = ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65))
"""Upper and lower points of iBUG's eyes and inner lips."""

LIDS_AND_LIPS_478 = (
    (160, 144),
    (159, 145),
    (158, 153),
    (385, 380),
    (386, 374),
    (387, 373),
    (13, 14),
    (82, 87),
    (312, 317),
)
"""The same of MediaPipe's mesh, whose lids are finer."""


@dataclass(frozen=True)
class LossConfig:
    """Weight of each term; 0 leaves it out. Photometric terms cost a rendering per sample.

    Attributes:
        landmarks68: NME of iBUG's 68 points.
        depth68: Their relative depth.
        landmarks478: NME of MediaPipe's mesh, where it can be trusted.
        lids_and_lips: Openings of eyes and lips.
        identity_prior: Squared identity coefficients.
        expression_prior: Blendshape weights and their squares.
        photometric: Rendering against photograph.
        albedo_prior: Squared albedo coefficients.
        white_light: Light without colour.
        exposure: Light level near 1.
        negative_light: No shading below 0.
        albedo_range: Albedo in [0, 1].
        symmetry: Albedo against its mirror image.
    """

    landmarks68: float = 1.0
    depth68: float = 0.25
    landmarks478: float = 0.5
    lids_and_lips: float = 0.5
    identity_prior: float = 1e-3
    expression_prior: float = 1e-3
    photometric: float = 0.0
    albedo_prior: float = 1e-3
    white_light: float = 0.02
    exposure: float = 0.05
    negative_light: float = 0.2
    albedo_range: float = 1.0
    symmetry: float = 0.0

    @property
    def renders(self) -> bool:
        """Whether a rendering is needed."""
        return self.photometric > 0.0


def geometric_terms(
    config: LossConfig,
    observation: Observation,
    reconstruction: Reconstruction,
    landmarks478_image: Float[Tensor, "batch 478 3"],
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms that need no rendering."""
    box_px, weight = observation.box_px, observation.landmarks68_weight
    predicted68 = reconstruction.landmarks68_image
    predicted68_px, target68_px = predicted68[..., :2], observation.landmarks68_px[..., :2]
    focal_px = observation.intrinsics_px[:, 0, 0]
    mesh_weight = observation.landmarks478_weight
    parameters = reconstruction.parameters
    lids = relative_distance(predicted68_px, target68_px, LIDS_AND_LIPS, box_px, weight)
    predicted478_px, target478_px = landmarks478_image[..., :2], observation.landmarks478_px
    lids = lids + relative_distance(predicted478_px, target478_px, LIDS_AND_LIPS_478, box_px, mesh_weight)
    depth = landmark_depth(predicted68, observation.landmarks68_px, focal_px, box_px, weight)
    return {
        "landmarks68": config.landmarks68 * landmark_distance(predicted68_px, target68_px, box_px, weight),
        "depth68": config.depth68 * depth,
        "landmarks478": config.landmarks478 * landmark_distance(predicted478_px, target478_px, box_px, mesh_weight),
        "lids_and_lips": config.lids_and_lips * lids,
        "identity_prior": config.identity_prior * gaussian_prior(parameters.identity),
        "expression_prior": config.expression_prior * sparse_prior(parameters.expression),
    }


def photometric_terms(
    config: LossConfig,
    observation: Observation,
    reconstruction: Reconstruction,
    rendering: Rendering,
    mask: Float[Tensor, "batch size size"],
    mirror: Int[Tensor, " vertex"],
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms of a rendering.

    Args:
        config: Weights.
        observation: The photographs.
        reconstruction: What was rendered.
        rendering: Its picture, of the crops' size.
        mask: Where photograph and rendering may be compared.
        mirror: The morphable model's mirror table.
    """
    parameters, albedo = reconstruction.parameters, reconstruction.mesh.albedo_linear
    image = photometric(rendering.image_linear, observation.image_srgb, mask, observation.color)
    return {
        "photometric": config.photometric * image,
        "albedo_prior": config.albedo_prior * gaussian_prior(parameters.albedo),
        "white_light": config.white_light * white_light(parameters.lighting),
        "exposure": config.exposure * exposure_prior(parameters.lighting),
        "negative_light": config.negative_light * negative_light(rendering.shading.flatten(1, 2)),
        "albedo_range": config.albedo_range * albedo_range(albedo),
        "symmetry": config.symmetry * mirror_difference(albedo, mirror),
    }


def total(terms: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Sum of the terms.

    Raises:
        FloatingPointError: Naming the terms that are not finite; only checked when the sum is not.
    """
    loss = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(loss):
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        raise FloatingPointError(f"loss is not finite: {', '.join(bad)}")
    return loss
