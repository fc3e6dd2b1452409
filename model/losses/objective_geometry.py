"""Terms of labels and coefficients: all that needs no rendering."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.batch_distribution import batch_distribution
from model.losses.blendshapes import labelled_blendshapes, opposites
from model.losses.config import LossConfig
from model.losses.gaze import gaze
from model.losses.identity_teacher import identity_teacher, shape_consistency
from model.losses.landmark_weights import landmark_visibility, landmark_weights
from model.losses.landmarks import landmark_depth, landmark_distance
from model.losses.openings import EYES_68, EYES_478, LIPS_68, LIPS_478, relative_distance
from model.losses.priors import gaussian_prior, sparse_prior
from model.losses.tables import LossTables
from model.losses.weighting import Terms, weighted
from model.observation import Observation
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction


def geometric_terms(
    config: LossConfig,
    observation: Observation,
    reconstruction: Reconstruction,
    landmarks478_image: Float[Tensor, "batch 478 3"],
    tables: LossTables,
) -> Terms:
    """Weighted terms that need no rendering.

    Args:
        config: Weights.
        observation: The photographs and their labels.
        reconstruction: The answer.
        landmarks478_image: MediaPipe's points of the answer, projected.
        tables: Of the answer's head model.
    """
    parameters, focal_px = reconstruction.parameters, observation.intrinsics_px[:, 0, 0]
    box_px, weight68, weight478 = observation.box_px, observation.landmarks68_weight, observation.landmarks478_weight
    landmarks68_image = reconstruction.landmarks68_image
    points68 = landmarks68_image[..., :2], observation.landmarks68_px[..., :2]
    points478 = landmarks478_image[..., :2], observation.landmarks478_px
    count68 = landmark_weights(config.landmark_weights).to(focal_px.device)
    count68 = count68 * _visibility(config, parameters, tables.normals68) * _lids(observation)
    count478 = _visibility(config, parameters, tables.normals478)

    def eyes() -> Float[Tensor, ""]:
        mesh = relative_distance(*points478, EYES_478, box_px, weight478)
        return mesh + relative_distance(*points68, EYES_68, box_px, weight68 * _unmeshed(observation))

    def lips() -> Float[Tensor, ""]:
        mesh = relative_distance(*points478, LIPS_478, box_px, weight478)
        return mesh + relative_distance(*points68, LIPS_68, box_px, weight68)

    terms: dict[str, Callable[[], Float[Tensor, ""]]] = {
        "landmarks68": lambda: landmark_distance(*points68, box_px, weight68, count68),
        "depth68": lambda: landmark_depth(landmarks68_image, observation.landmarks68_px, focal_px, box_px, weight68),
        "landmarks478": lambda: landmark_distance(*points478, box_px, weight478, count478),
        "eye_closure": eyes,
        "lip_distance": lips,
        "gaze": lambda: gaze(*points478, box_px, weight478),
        "identity_prior": lambda: gaussian_prior(parameters.identity - tables.identity_center),
        "expression_prior": lambda: sparse_prior(parameters.expression),
        "opposites": lambda: opposites(parameters.expression, tables.alphabetical),
        "blendshapes": lambda: labelled_blendshapes(
            parameters.expression, tables.alphabetical, observation.blendshapes, observation.blendshapes_weight
        ),
        "identity_teacher": lambda: identity_teacher(
            parameters.identity, observation.identity_embedding, observation.identity_embedding_weight
        ),
        "shape_consistency": lambda: shape_consistency(parameters.identity, observation.identity),
        "batch_distribution": lambda: batch_distribution(_coefficients(config, parameters, tables)),
    }
    return weighted(config, terms)


def _unmeshed(observation: Observation) -> Float[Tensor, " batch"]:
    """1 where there is no mesh, and the 68 points alone must tell of the lids.

    They hardly do: over 6,477 photographs they open an eye by 4.9 % of the face's size where MediaPipe's blendshapes
    call it open and by 4.5 % where they call it shut; its mesh by 6.6 and 1.7 %.
    """
    return 1.0 - observation.landmarks478_weight


def _lids(observation: Observation) -> Float[Tensor, "batch 68"]:
    """Weight of the 68 points: lids count where there is no mesh."""
    weight = observation.landmarks68_px.new_ones(len(observation.landmarks68_weight), 68)
    lids = torch.tensor(EYES_68, device=weight.device).flatten()
    weight[:, lids] = _unmeshed(observation)[:, None]
    return weight


def _visibility(
    config: LossConfig, parameters: FaceParameters, normals: Float[Tensor, "point 3"]
) -> Float[Tensor, "batch point"]:
    return landmark_visibility(normals, parameters.rotation, parameters.translation_mm, config.hidden_landmarks)


def _coefficients(
    config: LossConfig, parameters: FaceParameters, tables: LossTables
) -> Float[Tensor, "batch coefficient"]:
    """What is learned of the person: the shape, and with renderings the skin; both around their means."""
    shape = parameters.identity - tables.identity_center
    return torch.cat((shape, parameters.albedo), dim=1) if config.renders else shape
