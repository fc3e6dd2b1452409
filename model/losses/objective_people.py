"""Terms of several photographs of one person in a batch."""

from jaxtyping import Bool, Float
from torch import Tensor

from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.vertex_sampling import sample_at_vertices, vertex_visibility
from model.losses.config import LossConfig
from model.losses.landmarks import landmark_distance
from model.losses.multiview import multiview_difference, observed_albedo
from model.losses.tables import LossTables
from model.losses.weighting import Terms, weighted
from model.observation import Observation
from model.reconstructor import Reconstruction
from model.render.color import srgb_to_linear
from model.render.lighting import shade


def swapped_identity_terms(
    config: LossConfig,
    observation: Observation,
    changed: Bool[Tensor, " batch"],
    landmarks68_image: Float[Tensor, "batch 68 3"],
    landmarks478_image: Float[Tensor, "batch 478 3"],
) -> Terms:
    """The weighted landmark terms of heads that have the identity of another photograph of their person.

    Args:
        config: Weights.
        observation: The photographs.
        changed: Samples whose identity was exchanged (`swap_within_person`); the others do not count.
        landmarks68_image: iBUG's points with the exchanged identity, projected.
        landmarks478_image: MediaPipe's, likewise.
    """
    box_px = observation.box_px

    def both_sets() -> Float[Tensor, ""]:
        weight68 = observation.landmarks68_weight * changed
        weight478 = observation.landmarks478_weight * changed
        points68 = landmarks68_image[..., :2], observation.landmarks68_px[..., :2]
        points478 = landmarks478_image[..., :2], observation.landmarks478_px
        mesh = landmark_distance(*points478, box_px, weight478)
        return landmark_distance(*points68, box_px, weight68) + mesh

    return weighted(config, {"swapped_identity": both_sets})


def multiview_terms(
    config: LossConfig, observation: Observation, reconstruction: Reconstruction, tables: LossTables
) -> Terms:
    """The weighted difference of the skin that two photographs of a person show; needs no rendering.

    Args:
        config: Weights.
        observation: The photographs.
        reconstruction: The answer.
        tables: Of the answer's head model.
    """

    def covisible() -> Float[Tensor, ""]:
        vertices_mm = reconstruction.mesh.vertices_camera_mm
        normals = vertex_normals(vertices_mm, tables.faces)
        vertices_image = project(vertices_mm, observation.intrinsics_px)
        shading = shade(normals, reconstruction.parameters.lighting)
        albedo = observed_albedo(srgb_to_linear(observation.image_srgb), vertices_image, shading)
        height, width = observation.image_srgb.shape[-2:]
        seen = vertex_visibility(vertices_image, vertices_mm, normals, height, width)
        # Not hair, hands or an open mouth.
        expected = sample_at_vertices(observation.skin_mask[:, None], vertices_image)[..., 0]
        return multiview_difference(albedo, seen * expected * tables.skin, observation.identity, observation.color)

    return weighted(config, {"multiview": covisible})
