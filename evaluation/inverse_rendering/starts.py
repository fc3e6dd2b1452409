"""What the benchmark's fits begin with: the network's answer, on the true head or on its own."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from data.alignment import window_from_detection, window_from_landmarks
from evaluation.aflw2000 import best_detection
from evaluation.inverse_rendering.benchmark import unit_srgb
from evaluation.inverse_rendering.faces import BenchmarkFace
from evaluation.metrics import landmark_box
from inference.faces import FaceRequest
from inference.likeness import Likeness
from model.face.morphable_model import MorphableModel
from model.geometry.camera import default_intrinsics, project
from model.reconstructor import Reconstruction
from model.refine.face import FaceCrop, FittedFace, detached
from model.refine.landmarks.config import LandmarkFitConfig
from model.refine.landmarks.fit import fit_landmarks
from model.refine.raster.fit import RasterFitConfig, fit_raster


class ExactGeometry:
    """The true head before the true camera, with the network's albedo and light."""

    def __init__(self, model: MorphableModel, likeness: Likeness) -> None:
        """Take the head and the network."""
        self._model, self._likeness = model, likeness

    def __call__(self, face: BenchmarkFace) -> tuple[FaceCrop, FittedFace]:
        """A `Start`."""
        truth = face.truth
        points_px = true_landmarks_px(face, self._model)
        request = FaceRequest(face.photograph_srgb, window_from_landmarks(points_px), face.intrinsics_px)
        answer = self._likeness.faces.reconstruct([request])[0]
        parameters = replace(truth.parameters, albedo=answer.parameters.albedo, lighting=answer.parameters.lighting)
        detail = truth.detail
        if detail is not None and answer.detail is not None:
            detail = replace(
                detail,
                albedo_linear=answer.detail.albedo_linear,
                sigma_mm=torch.zeros_like(answer.detail.sigma_mm),
                visibility=answer.detail.visibility,
            )
        crop = _crop(face, points_px, face.intrinsics_px)
        return crop, detached(FittedFace(parameters, detail, face.intrinsics_px))


class OwnGeometry:
    """As `infer.py --refine raytrace` comes to it: detector, network, landmark fit, raster fit; the camera unknown."""

    def __init__(
        self, model: MorphableModel, likeness: Likeness, landmarks: LandmarkFitConfig, raster: RasterFitConfig
    ) -> None:
        """Take the head, the network and the settings of the stages before."""
        self._model, self._likeness = model, likeness
        self._landmarks, self._raster = landmarks, raster

    def __call__(self, face: BenchmarkFace) -> tuple[FaceCrop, FittedFace]:
        """A `Start`; where the detector finds no face, the network is shown it."""
        points_px = true_landmarks_px(face, self._model)
        found = best_detection(self._likeness.detector, face.photograph_srgb, landmark_box(points_px))
        window = window_from_landmarks(points_px) if found is None else window_from_detection(found)
        request = FaceRequest.in_photograph(face.photograph_srgb, window)
        answer = self._likeness.faces.reconstruct([request])[0]
        size = len(face.photograph_srgb)
        crop = _crop(face, answer.landmarks68_image[0, :, :2].numpy(), default_intrinsics(size, size))
        fitted, _ = fit_landmarks(self._model, crop, _fitted(answer, crop), self._landmarks)
        fitted, _ = fit_raster(self._model, crop, fitted, self._raster)
        return crop, detached(fitted)


def true_landmarks_px(face: BenchmarkFace, model: MorphableModel) -> Float[np.ndarray, "68 2"]:
    """The 68 points of the true head."""
    vertices_mm = face.truth.mesh(model).vertices_camera_mm
    return project(model.landmarks(vertices_mm), face.intrinsics_px[None])[0, :, :2].numpy()


def _fitted(answer: Reconstruction, crop: FaceCrop) -> FittedFace:
    return detached(FittedFace(answer.parameters, answer.detail, crop.intrinsics_px))


def _crop(
    face: BenchmarkFace, points_px: Float[np.ndarray, "68 2"], intrinsics_px: Float[torch.Tensor, "3 3"]
) -> FaceCrop:
    """The whole photograph as refinements take it: it is cut as they would cut it."""
    return FaceCrop(
        image_srgb=torch.from_numpy(unit_srgb(face)).permute(2, 0, 1).contiguous(),
        inside=torch.ones(face.photograph_srgb.shape[:2]),
        color=True,
        intrinsics_px=intrinsics_px,
        landmarks68_px=torch.from_numpy(points_px).float(),
        landmarks68_weight=torch.ones(len(points_px)),
    )
