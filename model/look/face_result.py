"""`FaceResult`: one face as numpy arrays, exactly what is exported, in the px of the original photograph."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.rotation import euler_from_rotation
from model.reconstructor import Reconstruction


@dataclass(frozen=True)
class FaceResult:
    """One reconstructed face.

    Attributes:
        identity: Standard deviations.
        expression: Blendshape weights in [0, 1].
        expression_names: Their ARKit names.
        albedo: Standard deviations.
        lighting: Spherical harmonics per colour channel.
        rotation: Model space to camera space.
        translation_mm: Model origin in camera space.
        intrinsics_px: Camera of the photograph.
        vertices_mm: Model space, with expression and offsets.
        vertices_neutral_mm: Model space, the identity alone: neither expression nor offsets.
        vertices_camera_mm: Camera space.
        vertices_image: x and y in px of the photograph, depth in mm.
        faces: Triangles.
        albedo_vertex_linear: Linear RGB with the residual, clamped to [0, 1].
        albedo_components_linear: The same of the model's components alone: smooth and known all around the head.
        offsets_mm: What the mesh decoder added to the linear model's vertices, model space; 0 without a decoder.
        sigma_mm: Standard deviation of each coordinate of a vertex that it answered; NaN without a decoder.
        landmarks68_px: In the photograph.
        landmarks68_mm: In model space.
        yaw_pitch_roll_degrees: Head pose.
        box_px: The detection: left, top, right, bottom.
        score: The detector's confidence.
        confidence: Probability that the head is right; NaN where nothing is known of it.
    """

    identity: Float[np.ndarray, " identity"]
    expression: Float[np.ndarray, " expression"]
    expression_names: tuple[str, ...]
    albedo: Float[np.ndarray, " albedo"]
    lighting: Float[np.ndarray, "9 3"]
    rotation: Float[np.ndarray, "3 3"]
    translation_mm: Float[np.ndarray, "3"]
    intrinsics_px: Float[np.ndarray, "3 3"]
    vertices_mm: Float[np.ndarray, "vertex 3"]
    vertices_neutral_mm: Float[np.ndarray, "vertex 3"]
    vertices_camera_mm: Float[np.ndarray, "vertex 3"]
    vertices_image: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    albedo_vertex_linear: Float[np.ndarray, "vertex 3"]
    albedo_components_linear: Float[np.ndarray, "vertex 3"]
    offsets_mm: Float[np.ndarray, "vertex 3"]
    sigma_mm: Float[np.ndarray, " vertex"]
    landmarks68_px: Float[np.ndarray, "68 2"]
    landmarks68_mm: Float[np.ndarray, "68 3"]
    yaw_pitch_roll_degrees: Float[np.ndarray, "3"]
    box_px: Float[np.ndarray, "4"]
    score: float
    confidence: float


def face_result(
    reconstruction: Reconstruction,
    morphable_model: MorphableModel,
    intrinsics_px: Float[Tensor, "3 3"],
    box_px: Float[np.ndarray, "4"],
    score: float,
    confidence: float = float("nan"),
) -> FaceResult:
    """Take the one face of a reconstruction of batch size 1, seen by the photograph's own camera."""

    def plain(value: Tensor) -> np.ndarray:
        return value.detach().cpu().numpy().astype(np.float32)

    parameters, mesh = reconstruction.parameters, reconstruction.mesh
    detail, vertices_mm = reconstruction.detail, plain(mesh.vertices_mm[0])
    camera = intrinsics_px.to(mesh.vertices_camera_mm)[None]
    neutral_mm = morphable_model.neutral_mm(parameters.identity)
    landmarks_px = project(parameters.to_camera(reconstruction.landmarks68_mm), camera)[0, :, :2]
    return FaceResult(
        identity=plain(parameters.identity[0]),
        expression=plain(parameters.expression[0]),
        expression_names=morphable_model.expression_names,
        albedo=plain(parameters.albedo[0]),
        lighting=plain(parameters.lighting[0]),
        rotation=plain(parameters.rotation[0]),
        translation_mm=plain(parameters.translation_mm[0]),
        intrinsics_px=plain(intrinsics_px),
        vertices_mm=vertices_mm,
        vertices_neutral_mm=plain(neutral_mm[0]),
        vertices_camera_mm=plain(mesh.vertices_camera_mm[0]),
        vertices_image=plain(project(mesh.vertices_camera_mm, camera)[0]),
        faces=morphable_model.faces.cpu().numpy().astype(np.int32),
        albedo_vertex_linear=plain(mesh.albedo_linear[0].clamp(0.0, 1.0)),
        albedo_components_linear=plain(morphable_model.albedo_linear(parameters.albedo)[0].clamp(0.0, 1.0)),
        offsets_mm=np.zeros_like(vertices_mm) if detail is None else plain(detail.offsets_mm[0]),
        # Not 0, which would be the claim of an exact answer.
        sigma_mm=np.full(len(vertices_mm), np.nan, np.float32) if detail is None else plain(detail.sigma_mm[0]),
        landmarks68_px=plain(landmarks_px),
        landmarks68_mm=plain(reconstruction.landmarks68_mm[0]),
        yaw_pitch_roll_degrees=plain(torch.rad2deg(euler_from_rotation(parameters.rotation[0]))),
        box_px=np.asarray(box_px, np.float32),
        score=float(score),
        confidence=float(confidence),
    )
