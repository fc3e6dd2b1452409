"""`Head`: what is known of one face of a photograph, and its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.mesh_options import MeshOptions, PoseKind, RigKind, Units
from data.detection import Detection
from inference.camera import CameraSource
from inference.hair import HairMaker
from inference.jobs import FaceJob
from inference.options import ALL_FORMATS, DEFAULT_FORMATS, Format, check_formats
from inference.refined_files import write_refined
from model.export.face_files import FaceFiles
from model.geometry.mesh import Mesh
from model.look.appearance import Appearance
from model.look.face_result import FaceResult, face_result
from model.look.face_track import FaceTrack
from model.look.hair_mesh import FaceHair
from model.look.head_look import HeadLook
from model.look.texture import Texture
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction
from model.refine.refined import RefinedFace

RELIT_PX = 160
"""Side of each picture of the relit strip, unless the settings of a refinement say otherwise."""


@dataclass(frozen=True)
class Camera:
    """The pinhole camera of a whole photograph, upright as it was read: not that of a crop.

    Attributes:
        intrinsics_px: `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`; the origin is the photograph's top left corner.
        width_px: Of the photograph.
        height_px: Of the photograph.
        source: Where it came from: `assumed`, `exif`, what the user said (`fov`, `focal_px`, `intrinsics`), or
            `refined`, where a refinement has found another focal length.
    """

    intrinsics_px: Float[np.ndarray, "3 3"]
    width_px: int
    height_px: int
    source: CameraSource = "assumed"


@dataclass(frozen=True, eq=False, repr=False)
class Head:
    """One reconstructed face. Lengths in mm, places in px of the whole photograph (`docs/conventions.md`).

    Attributes:
        photograph_srgb: The photograph that it was found in.
        detection: Where it was found.
        reconstruction: The answer as tensors with a batch axis of 1, on the CPU.
        confidence: Probability in [0, 1] that the head is right; below 0.5 it is doubtful. NaN where the network was
            not asked.
        refined: What a refinement says of it, None where it was not refined.
    """

    photograph_srgb: UInt8[np.ndarray, "height width 3"]
    detection: Detection
    reconstruction: Reconstruction
    confidence: float
    refined: RefinedFace | None
    _intrinsics_px: Float[torch.Tensor, "3 3"]
    _files: FaceFiles
    _relit_px: int = RELIT_PX
    _camera_source: CameraSource = "assumed"
    _hair_maker: HairMaker | None = None

    @classmethod
    def of(
        cls, job: FaceJob, files: FaceFiles, relit_px: int = RELIT_PX, hair_maker: HairMaker | None = None
    ) -> "Head":
        """The head of a job that is done.

        Args:
            job: The face after the network and, if it was asked for, the refinement.
            files: The writer of faces of its head model.
            relit_px: Side of each picture of the relit strip.
            hair_maker: Who finds its hair; None for a head whose texture takes all that the photograph shows.
        """
        return cls(
            job.image_srgb,
            job.detection,
            job.reconstruction,
            job.confidence,
            job.refined,
            job.request.intrinsics_px,
            files,
            relit_px,
            job.request.camera_source,
            hair_maker,
        )

    @property
    def parameters(self) -> FaceParameters:
        """Coefficients of shape, expression and albedo, light and pose, as tensors with a batch axis of 1."""
        return self.reconstruction.parameters

    @property
    def mesh(self) -> Mesh:
        """The vertices in model and in camera space and their albedo, as tensors with a batch axis of 1."""
        return self.reconstruction.mesh

    @property
    def camera(self) -> Camera:
        """The camera that sees `mesh.vertices_camera_mm` as the photograph shows the face."""
        height_px, width_px = self.photograph_srgb.shape[:2]
        return Camera(self.result.intrinsics_px, width_px, height_px, self._camera_source)

    @property
    def landmarks68_px(self) -> Float[np.ndarray, "68 2"]:
        """IBUG's 68 points in the photograph."""
        return self.result.landmarks68_px

    @property
    def appearance(self) -> Appearance | None:
        """Skin maps and light of a ray-traced refinement, None without one."""
        raytraced = None if self.refined is None else self.refined.raytraced
        return None if raytraced is None else raytraced.appearance

    @cached_property
    def result(self) -> FaceResult:
        """All of it as numpy arrays, as the files hold it: triangles, vertices, names of the expressions and so on."""
        box_px, score = self.detection.box_px, self.detection.score
        model, camera_px = self._files.morphable_model, self._intrinsics_px
        return face_result(self.reconstruction, model, camera_px, box_px, score, self.confidence)

    @cached_property
    def hair(self) -> FaceHair | None:
        """What of the photograph is skin, and the hair as a mesh; None if nobody was asked to look for it."""
        with torch.inference_mode():
            return None if self._hair_maker is None else self._hair_maker.of(self.photograph_srgb, self.result)

    @cached_property
    def look(self) -> HeadLook:
        """The parts of the GLB: their shape, their textures with and without light, the skin's relief."""
        with torch.inference_mode():
            return self._files.look(self.result, self.photograph_srgb, self.appearance, self.hair)

    @property
    def texture(self) -> Texture:
        """The textures of the skin."""
        return self.look.skin

    def save(
        self,
        folder: str | Path,
        formats: Sequence[Format] = DEFAULT_FORMATS,
        *,
        units: Units = "mm",
        rig: RigKind = "shapes",
        pose: PoseKind = "front",
        track: FaceTrack | None = None,
    ) -> None:
        """Write the files that `infer.py` writes for a face.

        Args:
            folder: Where to; made if missing. Files of other names stay in it.
            formats: Which kinds; `maps` is written for ray-traced heads, `pictures` for refined ones.
            units: Of lengths in OBJ files.
            rig: Who opens the jaw and turns the eyes of the GLB: its blendshapes (`shapes`) or its joints (`bones`).
            pose: Where the GLB's head stands: upright at the origin (`front`), or as the photograph's camera, which is
                at the origin then, sees it (`photograph`).
            track: How the head moves, which becomes the animation of its GLB; None for a still one.

        Raises:
            ValueError: If a format or an option is not known, or the package of a format is missing; nothing is
                written then.
        """
        unknown = [name for name in formats if name not in ALL_FORMATS]
        if isinstance(formats, str) or unknown:
            raise ValueError(f"formats={formats!r}: expected a list of some of {', '.join(ALL_FORMATS)}")
        check_formats(formats)
        mesh = MeshOptions(units, rig, pose)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            hair = self.hair if self._files.shows(formats, self.appearance) else None
            seen = self.photograph_srgb, folder, formats, self.appearance, hair
            self._files.write(self.result, *seen, mesh, track)
            if self.refined is not None:
                write_refined(self.refined, self._files.morphable_model, folder, formats, self._relit_px)

    def __repr__(self) -> str:
        yaw, pitch, roll = self.result.yaw_pitch_roll_degrees
        left, top, right, bottom = self.detection.box_px
        return (
            f"Head(box_px=({left:.0f}, {top:.0f}, {right:.0f}, {bottom:.0f}), score={self.detection.score:.2f}, "
            f"yaw_pitch_roll_degrees=({yaw:.1f}, {pitch:.1f}, {roll:.1f}))"
        )
