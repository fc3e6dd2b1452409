"""Refining one face: the stages in their order, each of which may fail without harm to what was there before."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.errors import describe
from common.tensor_groups import map_tensors
from inference.face_crop import Landmarks, cut_face, photograph_intrinsics
from inference.refining import FacePhotograph, RefinedAnswer
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.reconstructor import Reconstruction
from model.refine.face import FaceCrop, FittedFace, StageRecord, detached
from model.refine.refined import RefinedFace, Stage, StageAnswer

PathTracer = Callable[[RefinedFace], UInt8[np.ndarray, "size size 3"] | None]
"""Draws the final picture of a face, if there is light to draw it in; it may raise."""


class RefinementStoppedError(Exception):
    """The run was interrupted between two stages."""


class Refiner:
    """Runs stages over faces, one face at a time."""

    def __init__(
        self,
        morphable_model: MorphableModel,
        stages: dict[str, Stage],
        find_landmarks: Callable[[FacePhotograph], Landmarks] | None,
        *,
        size_px: int,
        device: torch.device,
        from_network: bool = True,
        path_tracer: PathTracer | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Put the refinement together.

        Args:
            morphable_model: The head, on `device`.
            stages: By name, in their order.
            find_landmarks: Finds what the landmark fit goes by; it may raise. None for the reconstruction's landmarks.
            size_px: Side of the window that faces are fitted in.
            device: Where the stages run.
            from_network: Start from the reconstruction; else the first stage starts from the mean head.
            path_tracer: Draws the final picture; in the thread of the stages, since it takes their memory.
            tell: Called with what is being done.
        """
        self._model = morphable_model
        self._stages = stages
        self._find_landmarks = find_landmarks
        self._size_px = size_px
        self._device = device
        self._from_network = from_network
        self._path_tracer = path_tracer
        self._tell = tell
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the stage under way finish and begin no other."""
        self._stopped.set()

    def refine(self, photograph: FacePhotograph, reconstruction: Reconstruction) -> RefinedAnswer:
        """Fit a reconstruction to its photograph.

        Args:
            photograph: The photograph and which of its faces is meant.
            reconstruction: The face in the photograph's camera.

        Returns:
            The reconstruction that was found, the photograph's camera (a stage may have found another focal length)
            and what the stages say of themselves.

        Raises:
            Exception: Without the network's answer, if there are no landmarks or the first stage fails.
            RefinementStoppedError: After `stop`.
        """
        landmarks, records = self._landmarks(photograph, reconstruction)
        camera = photograph.intrinsics_px
        window, crop = cut_face(photograph.image_srgb, landmarks, camera, self._size_px, self._device)
        start = _start(reconstruction, crop, self._device) if self._from_network else None
        fitted, raytraced = start, None
        for name, stage in self._stages.items():
            if self._stopped.is_set():
                raise RefinementStoppedError(f"interrupted before stage {name}")
            self._tell(f"{photograph.face_name}: {name}")
            # Without an earlier answer an error is the face's.
            answer, record = stage(crop, None) if fitted is None else _run(name, stage, crop, fitted)
            records.append(record)
            # Where it is not accepted, its start, perhaps with what was learned about occlusion and light.
            fitted = answer.fitted
            # A refused answer leaves the light and skin of the one before.
            raytraced = answer.raytraced if record.accepted else raytraced
            start = start or fitted
        assert start is not None, "a refinement without stages"
        assert fitted is not None
        refined = self._drawn(RefinedFace(crop, start, fitted, tuple(records), raytraced), photograph.face_name)
        # To the last bit the network's own answer where nothing was accepted.
        if self._from_network and not any(record.accepted for record in records):
            return RefinedAnswer(reconstruction, camera, refined)
        camera = photograph_intrinsics(fitted.intrinsics_px.cpu(), window, crop.size_px)
        return RefinedAnswer(to_reconstruction(fitted, self._model, camera), camera, refined)

    def _drawn(self, refined: RefinedFace, face_name: str) -> RefinedFace:
        """With the path-traced picture, or with a record of why there is none."""
        if self._path_tracer is None or refined.raytraced is None or self._stopped.is_set():
            return refined
        self._tell(f"{face_name}: path tracing")
        started = time.perf_counter()
        try:
            return replace(refined, path_traced_srgb=self._path_tracer(refined))
        except Exception as error:
            record = StageRecord("path tracing", False, describe(error), time.perf_counter() - started)
            return replace(refined, records=(*refined.records, record))

    def _landmarks(
        self, photograph: FacePhotograph, reconstruction: Reconstruction
    ) -> tuple[Landmarks, list[StageRecord]]:
        """What the source finds, else the network's own and a record that says why."""
        if self._find_landmarks is None:
            return network_landmarks(reconstruction), []
        started = time.perf_counter()
        try:
            return self._find_landmarks(photograph), []
        except Exception as error:
            if not self._from_network:
                raise
            reason = f"the network's landmarks are used instead: {describe(error)}"
            record = StageRecord("landmark source", False, reason, time.perf_counter() - started)
            return network_landmarks(reconstruction), [record]


def network_landmarks(reconstruction: Reconstruction) -> Landmarks:
    """The landmarks of a reconstruction."""
    points_px = reconstruction.landmarks68_image[0, :, :2].double().numpy()
    return Landmarks(points_px, np.ones(len(points_px)))


def _run(name: str, stage: Stage, crop: FaceCrop, fitted: FittedFace) -> tuple[StageAnswer, StageRecord]:
    started = time.perf_counter()
    try:
        answer, record = stage(crop, fitted)
    # Whatever a stage stumbles over must not cost the answer that is there; the files say what it was.
    except Exception as error:
        reason = f"failed, the earlier answer is kept: {describe(error)}"
        return StageAnswer(fitted), StageRecord(name, False, reason, time.perf_counter() - started)
    if not _finite(answer.fitted):
        reason = "its answer holds values that are not finite; the earlier answer is kept"
        return StageAnswer(fitted), replace(record, accepted=False, reason=reason)
    return answer, record


def _start(reconstruction: Reconstruction, crop: FaceCrop, device: torch.device) -> FittedFace:
    """The network's answer, on the device, as tensors that gradients may be asked of."""
    face = FittedFace(reconstruction.parameters, reconstruction.detail, crop.intrinsics_px)
    return detached(map_tensors(face, lambda values: values.to(device)))


def _finite(face: FittedFace) -> bool:
    groups = [face.parameters] if face.detail is None else [face.parameters, face.detail]
    # The standard deviation of the detail may be unknown.
    values = [value for group in groups for name, value in vars(group).items() if name != "sigma_mm"]
    return all(bool(torch.isfinite(value).all()) for value in (*values, face.intrinsics_px))


@torch.no_grad()
def to_reconstruction(
    face: FittedFace, morphable_model: MorphableModel, intrinsics_px: Float[torch.Tensor, "3 3"]
) -> Reconstruction:
    """A fitted face as the network would have answered it, on the CPU, in pixels of the photograph.

    Args:
        face: The face.
        morphable_model: Its head.
        intrinsics_px: Camera of the photograph.
    """
    mesh = face.mesh(morphable_model)
    landmarks_mm = morphable_model.landmarks(mesh.vertices_mm)
    landmarks_camera_mm = face.parameters.to_camera(landmarks_mm).cpu()
    landmarks_image = project(landmarks_camera_mm, intrinsics_px[None])
    there = Reconstruction(face.parameters, mesh, landmarks_image, landmarks_mm, face.detail)
    return map_tensors(there, lambda values: values.cpu())
