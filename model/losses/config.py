"""`LossConfig`: the weight of every loss, and the few settings that are no weights."""

from dataclasses import dataclass, fields
from typing import Literal

from common.ranges import SHARE, Range, checked

SETTINGS = ("landmark_weights", "hidden_landmarks", "pyramid_levels", "occlusion_smoothing")
"""The fields that are no weights."""

_OF_A_RENDERING = ("photometric", "silhouette", "recognition")


@dataclass(frozen=True)
@checked(
    "loss.", {SHARE: ("hidden_landmarks",), Range(1, 8): ("pyramid_levels",), Range(0, 0.25): ("occlusion_smoothing",)}
)
class LossConfig:
    """Weight of each term; 0 leaves it out, uncomputed. Each is a mean per sample, whatever the batch and the crop.

    Attributes:
        landmarks68: NME of iBUG's 68 points.
        depth68: Their relative depth.
        points: The points that the encoder sees, against the same labels; where it looks for them (`encoder.points`).
        point_distance: How far off it expects them to be, against how far they are.
        landmarks478: NME of MediaPipe's mesh, where it can be trusted.
        eye_closure: Opening of the eyes, lid to lid (DECA).
        lip_distance: Opening of the lips (DECA).
        gaze: Iris against the corners of its eye, where there is a mesh.
        identity_prior: Squared identity coefficients, less those of the head's mean person.
        expression_prior: Blendshape weights and their squares.
        opposites: Blendshapes that exclude one another, at the same time.
        blendshapes: Blendshape weights against labelled ones.
        batch_distribution: Identity and albedo coefficients of a batch against mean 0 and variance 1 (Genova et al.).
        photometric: Rendering against photograph. It and the next two cost a rendering per sample.
        silhouette: Head missing where skin is expected (ReDA's idea).
        recognition: Recognition embedding of the rendering against that of the photograph.
        multiview: Albedo seen in one photograph of a person against that of another (MGCNet's idea).
        recognition_teacher: Identity coefficients as near or far as the recognition embeddings of the photographs.
        recognition_distillation: The recognition embeddings themselves, found again by a layer on the encoder's
            features that is thrown away after training.
        shape_consistency: Identity coefficients of one person's photographs against one another.
        swapped_identity: Landmarks with the identity of another photograph of the person (DECA).
        loop_back: Parameters of a drawn head found again (Genova et al.).
        albedo_prior: Squared albedo coefficients; from here on only where there is a rendering.
        white_light: Light without colour.
        exposure: Light level near 1.
        negative_light: No shading below 0.
        albedo_range: Albedo in [0, 1].
        symmetry: Albedo against its mirror image.
        reflectance: Variance of the albedo within the skin of a face (DECA, Deep3D).
        vertices: Error of the vertices in mm, where the truth is known.
        neutral_vertices: The same of the heads at rest, from identity alone.
        likelihood: Error of the vertices under the standard deviation that was answered, where the truth is known.
        offset_prior: Squared offsets of the detail. These six are left out for a model without one.
        offset_smoothness: Laplacian of the offsets.
        offset_symmetry: Offsets against their mirror image, by what the photograph saw.
        albedo_residual_prior: Squared albedo residual, more where it was not seen.
        albedo_residual_smoothness: Laplacian of the albedo residual.
        albedo_residual_symmetry: Albedo residual against its mirror image, by what the photograph saw.
        landmark_weights: Preset of `landmark_weights.py` for the 68 points.
        hidden_landmarks: Weight of landmarks on the far side of the head, over that of the others.
        pyramid_levels: Sizes at which the photograph is compared, each half the one before.
        occlusion_smoothing: Reach of the occlusion estimate over the side of the crop; 0 judges each pixel alone.
    """

    landmarks68: float = 1.0
    depth68: float = 0.25
    points: float = 0.0
    point_distance: float = 0.0
    landmarks478: float = 0.5
    eye_closure: float = 0.3
    lip_distance: float = 0.2
    gaze: float = 0.0
    identity_prior: float = 1e-3
    expression_prior: float = 1e-3
    opposites: float = 0.0
    blendshapes: float = 0.0
    batch_distribution: float = 0.0
    photometric: float = 0.0
    silhouette: float = 0.0
    recognition: float = 0.0
    multiview: float = 0.0
    recognition_teacher: float = 0.0
    recognition_distillation: float = 0.0
    shape_consistency: float = 0.0
    swapped_identity: float = 0.0
    loop_back: float = 0.0
    albedo_prior: float = 1e-3
    white_light: float = 0.02
    exposure: float = 0.05
    negative_light: float = 0.2
    albedo_range: float = 1.0
    symmetry: float = 0.0
    reflectance: float = 0.0
    vertices: float = 0.0
    neutral_vertices: float = 0.0
    likelihood: float = 0.0
    offset_prior: float = 0.0
    offset_smoothness: float = 0.0
    offset_symmetry: float = 0.0
    albedo_residual_prior: float = 0.0
    albedo_residual_smoothness: float = 0.0
    albedo_residual_symmetry: float = 0.0
    landmark_weights: Literal["uniform", "deep3d", "deca"] = "uniform"
    hidden_landmarks: float = 1.0
    pyramid_levels: int = 1
    occlusion_smoothing: float = 0.0

    @property
    def renders(self) -> bool:
        """Whether a rendering is needed."""
        return any(getattr(self, name) > 0.0 for name in _OF_A_RENDERING)

    def weights(self) -> dict[str, float]:
        """The weight of each term by name, without the settings."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in SETTINGS}
