"""The objective: every loss in one table, and what training minimises.

A loss of the table is a function from `LossInputs` to a scalar. It is computed where its field in `LossConfig` has a
weight, and where the batch has what its group is about.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.face.openings import EYES_68, EYES_478, LIPS_68, LIPS_478
from model.losses.batch_distribution import batch_distribution
from model.losses.blendshapes import labelled_blendshapes, opposites
from model.losses.config import LossConfig
from model.losses.detail import albedo_residual_prior, offset_prior
from model.losses.gaze import gaze
from model.losses.inputs import KnownHeads, LossInputs
from model.losses.landmarks import landmark_depth, landmark_distance
from model.losses.likelihood import gaussian_likelihood
from model.losses.loop_back import loop_back
from model.losses.loss_tables import LossTables
from model.losses.multiview import multiview_difference
from model.losses.openings import relative_distance
from model.losses.photometric import photometric
from model.losses.points import point_distance, seen_points
from model.losses.priors import (
    albedo_range,
    exposure_prior,
    gaussian_prior,
    negative_light,
    sparse_prior,
    white_light,
)
from model.losses.recognition import rendering_recognition_loss
from model.losses.recognition_teacher import recognition_distillation, recognition_teacher, shape_consistency
from model.losses.reflectance import reflectance_variance
from model.losses.silhouette import silhouette
from model.losses.smoothness import laplacian_smoothness
from model.losses.symmetry import mirror_difference
from model.losses.vertices import vertex_distance
from model.losses.weighting import Terms, weighted
from model.observation import Observation
from model.recognition import RecognitionNetwork
from model.reconstructor import Reconstruction, Reconstructor
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer

WIDEST_EMBEDDING = 512
"""Numbers in the longest of the recognition networks' embeddings; a shorter one is answered by the first of them."""

Losses = dict[str, Callable[[LossInputs], Float[Tensor, ""]]]


def _landmarks68(given: LossInputs) -> Float[Tensor, ""]:
    weight = given.observation.landmarks68_weight
    return landmark_distance(*given.points68, given.box_px, weight, given.point_weight68)


def _landmarks478(given: LossInputs) -> Float[Tensor, ""]:
    weight = given.observation.landmarks478_weight
    return landmark_distance(*given.points478, given.box_px, weight, given.point_weight478)


def _depth68(given: LossInputs) -> Float[Tensor, ""]:
    observation, answer = given.observation, given.reconstruction.landmarks68_image
    focal_px, weight = observation.intrinsics_px[:, 0, 0], observation.landmarks68_weight
    return landmark_depth(answer, observation.landmarks68_px, focal_px, given.box_px, weight)


def _eye_closure(given: LossInputs) -> Float[Tensor, ""]:
    weight68, weight478 = given.observation.landmarks68_weight, given.observation.landmarks478_weight
    mesh = relative_distance(*given.points478, EYES_478, given.box_px, weight478)
    return mesh + relative_distance(*given.points68, EYES_68, given.box_px, weight68 * given.unmeshed)


def _lip_distance(given: LossInputs) -> Float[Tensor, ""]:
    weight68, weight478 = given.observation.landmarks68_weight, given.observation.landmarks478_weight
    mesh = relative_distance(*given.points478, LIPS_478, given.box_px, weight478)
    return mesh + relative_distance(*given.points68, LIPS_68, given.box_px, weight68)


def _blendshapes(given: LossInputs) -> Float[Tensor, ""]:
    labels, weight = given.observation.blendshapes, given.observation.blendshapes_weight
    return labelled_blendshapes(given.parameters.expression, given.tables.alphabetical, labels, weight)


def _recognition_teacher(given: LossInputs) -> Float[Tensor, ""]:
    embedding, weight = given.observation.recognition_embedding, given.observation.recognition_embedding_weight
    return recognition_teacher(given.parameters.identity, embedding, weight)


def _recognition_distillation(given: LossInputs) -> Float[Tensor, ""]:
    embedding, weight = given.observation.recognition_embedding, given.observation.recognition_embedding_weight
    return recognition_distillation(given.answered_embedding, embedding, weight)


def _batch_distribution(given: LossInputs) -> Float[Tensor, ""]:
    # What is learned of the person: the shape, and with renderings the skin; both around their means.
    learned = torch.cat((given.shape, given.parameters.albedo), dim=1) if given.config.renders else given.shape
    return batch_distribution(learned)


def _swapped_identity(given: LossInputs) -> Float[Tensor, ""]:
    points68, points478 = given.swapped_points("ibug68"), given.swapped_points("mediapipe478")
    (_, labels68), (_, labels478), (_, changed) = given.points68, given.points478, given.swapped_identity
    weight68, weight478 = given.observation.landmarks68_weight, given.observation.landmarks478_weight
    mesh = landmark_distance(points478, labels478, given.box_px, weight478 * changed)
    return landmark_distance(points68, labels68, given.box_px, weight68 * changed) + mesh


def _multiview(given: LossInputs) -> Float[Tensor, ""]:
    observation = given.observation
    return multiview_difference(given.observed_albedo, given.seen_skin, observation.person, observation.color)


def _photometric(given: LossInputs) -> Float[Tensor, ""]:
    observation, config = given.observation, given.config
    return photometric(
        given.rendering.image_linear,
        observation.image_srgb,
        given.comparable,
        observation.color,
        config.pyramid_levels,
        config.occlusion_smoothing,
    )


def _silhouette(given: LossInputs) -> Float[Tensor, ""]:
    return silhouette(given.rendering.mask, given.observation.skin_mask, given.observation.landmarks68_weight)


def _symmetry(given: LossInputs) -> Float[Tensor, ""]:
    detail = given.reconstruction.detail
    seen = None if detail is None else detail.visibility
    return mirror_difference(given.reconstruction.mesh.albedo_linear, given.tables.mirror, seen)


def _recognition(given: LossInputs) -> Float[Tensor, ""]:
    if given.network is None:
        raise ValueError("loss.recognition needs a recognition network: name one, or set the weight to 0")
    return rendering_recognition_loss(given.network, given.rendering, given.observation, stored=given.stored)


def _likelihood(given: LossInputs) -> Float[Tensor, ""]:
    # Without gradient to the error: a likelihood that trains both learns slowest where it errs most, for there it may
    # call itself unsure (Seitzer et al., "On the pitfalls of heteroscedastic uncertainty estimation", ICLR 2022).
    return gaussian_likelihood(given.error_mm.detach(), given.detail.sigma_mm, given.known.vertex_weight)


def _loop_back(given: LossInputs) -> Float[Tensor, ""]:
    if given.known.parameters is None:
        raise ValueError("loss.loop_back needs the parameters that the heads were drawn from")
    return loop_back(given.parameters, given.known.parameters)


OF_PHOTOGRAPHS: Losses = {
    "landmarks68": _landmarks68,
    "depth68": _depth68,
    "landmarks478": _landmarks478,
    "points": seen_points,
    "point_distance": point_distance,
    "eye_closure": _eye_closure,
    "lip_distance": _lip_distance,
    "gaze": lambda given: gaze(*given.points478, given.box_px, given.observation.landmarks478_weight),
    "identity_prior": lambda given: gaussian_prior(given.shape),
    "expression_prior": lambda given: sparse_prior(given.parameters.expression),
    "opposites": lambda given: opposites(given.parameters.expression, given.tables.alphabetical),
    "blendshapes": _blendshapes,
    "recognition_teacher": _recognition_teacher,
    "shape_consistency": lambda given: shape_consistency(given.parameters.identity, given.observation.person),
    "batch_distribution": _batch_distribution,
    "recognition_distillation": _recognition_distillation,
    "swapped_identity": _swapped_identity,
    "multiview": _multiview,
}
"""Of labels, coefficients, embeddings and several photographs of one person; none of them needs a rendering."""

OF_DETAIL: Losses = {
    "offset_prior": lambda given: offset_prior(given.detail.offsets_mm),
    "offset_smoothness": lambda given: laplacian_smoothness(given.detail.offsets_mm, given.tables.laplacian),
    "offset_symmetry": lambda given: mirror_difference(
        given.detail.offsets_mm, given.tables.mirror, given.detail_seen, vectors=True
    ),
    "albedo_residual_prior": lambda given: albedo_residual_prior(given.detail.albedo_linear, given.detail_seen),
    "albedo_residual_smoothness": lambda given: laplacian_smoothness(
        given.detail.albedo_linear, given.tables.laplacian
    ),
    "albedo_residual_symmetry": lambda given: mirror_difference(
        given.detail.albedo_linear, given.tables.mirror, given.detail_seen
    ),
}
"""Of what the mesh decoder adds to the linear model; left out for a model without one."""

OF_RENDERINGS: Losses = {
    "photometric": _photometric,
    "silhouette": _silhouette,
    "albedo_prior": lambda given: gaussian_prior(given.parameters.albedo),
    "white_light": lambda given: white_light(given.parameters.lighting),
    "exposure": lambda given: exposure_prior(given.parameters.lighting),
    "negative_light": lambda given: negative_light(given.rendering.shading.flatten(1, 2)),
    "albedo_range": lambda given: albedo_range(given.reconstruction.mesh.albedo_linear),
    "symmetry": _symmetry,
    "reflectance": lambda given: reflectance_variance(given.reconstruction.mesh.albedo_linear, given.tables.skin),
    "recognition": _recognition,
}
"""Of the picture, its light, its skin, and whose face it shows; left out where `LossConfig.renders` says so."""

OF_KNOWN_SHAPES: Losses = {
    "vertices": lambda given: vertex_distance(given.error_mm, given.known.vertex_weight),
    "neutral_vertices": lambda given: vertex_distance(given.neutral_error_mm, given.known.vertex_weight),
}
"""Of heads whose vertices are known."""

OF_KNOWN_ERRORS: Losses = {"likelihood": _likelihood}
"""Of the same where the mesh decoder says how sure it is."""

OF_KNOWN_PARAMETERS: Losses = {"loop_back": _loop_back}
"""Of heads that were drawn from parameters which are known."""


class Objective:
    """What training minimises.

    It is no module, since a recognition network is a yardstick, neither trained nor averaged nor saved. Whoever trains
    registers as parts of his own `tables`, which follow the head model to its device, and `teacher_layer`, which is
    trained.

    Attributes:
        config: Weights and settings.
        renderer: Draws the answers.
        tables: What losses know of the head model.
        teacher_layer: A layer on the encoder's features, thrown away after training; None where no loss asks for it.
    """

    def __init__(
        self,
        config: LossConfig,
        reconstructor: Reconstructor,
        build_network: Callable[[], RecognitionNetwork] | None = None,
        *,
        stored: bool = False,
        rendered_photographs: int = 0,
    ) -> None:
        """Prepare what is the same for each batch.

        Args:
            config: Weights and settings.
            reconstructor: The model whose answers are judged.
            build_network: Makes the recognition network, when a loss first asks for it.
            stored: The observations' embeddings are this network's: the photographs need not be embedded again.
            rendered_photographs: How many of a batch are rendered, 0 for all.
        """
        self.config = config
        self.renderer = Renderer(build_rasterizer("auto"))
        self.tables = LossTables(reconstructor.morphable_model)
        self.teacher_layer: nn.Linear | None = None
        if config.recognition_distillation > 0.0:
            self.teacher_layer = nn.Linear(reconstructor.backbone.feature_count, WIDEST_EMBEDDING)
        self._reconstructor = reconstructor
        self._build_network, self._network, self._stored = build_network, None, stored
        self._rendered_photographs = rendered_photographs

    def __call__(
        self,
        observation: Observation,
        reconstruction: Reconstruction,
        features: Float[Tensor, "batch feature"],
        truth: KnownHeads | None = None,
    ) -> Terms:
        """The weighted losses of a batch.

        Args:
            observation: The photographs and their labels.
            reconstruction: What was answered.
            features: What it was read from.
            truth: Of the last heads of the batch, where it ends with drawn ones.
        """
        # Losses and drawing work in single precision; autocast is for the networks.
        with torch.autocast(features.device.type, enabled=False):
            given = self.inputs(observation, reconstruction, features)
            terms = weighted(self.config, OF_PHOTOGRAPHS, given)
            if reconstruction.detail is not None:
                terms |= weighted(self.config, OF_DETAIL, given)
            if self.config.renders:
                shown = self._rendered_photographs or len(features)
                terms |= weighted(self.config, OF_RENDERINGS, given.part(slice(None, shown)))
            if truth is not None:
                known = given.part(slice(len(features) - len(truth.vertices_mm), None), truth)
                terms |= weighted(self.config, OF_KNOWN_SHAPES, known)
                if reconstruction.detail is not None:
                    terms |= weighted(self.config, OF_KNOWN_ERRORS, known)
                if truth.parameters is not None:
                    terms |= weighted(self.config, OF_KNOWN_PARAMETERS, known)
        return terms

    def inputs(
        self,
        observation: Observation,
        reconstruction: Reconstruction,
        features: Float[Tensor, "batch feature"] | None = None,
    ) -> LossInputs:
        """What the losses of a batch may ask for."""
        return LossInputs(
            config=self.config,
            reconstructor=self._reconstructor,
            tables=self.tables,
            renderer=self.renderer,
            observation=observation,
            reconstruction=reconstruction,
            features=features,
            teacher_layer=self.teacher_layer,
            network=self._recognition_network(observation.image_srgb.device),
            stored=self._stored,
        )

    def _recognition_network(self, device: torch.device) -> RecognitionNetwork | None:
        if self.config.recognition > 0.0 and self._network is None and self._build_network is not None:
            self._network = self._build_network().to(device)
        return self._network
