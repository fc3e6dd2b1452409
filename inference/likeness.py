"""`Likeness`: photographs in, heads out. What `infer.py` does for one photograph; batches and files are its own."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from common.paths import DEFAULT_CHECKPOINT
from common.places import Place, place_of
from data.detection import Detection
from data.detection_limits import MIN_FACE_PX, MIN_SCORE
from data.detector import FaceDetector
from data.exif_camera import focal_from_exif
from data.image_io import DecodedPhotograph, open_photograph, upright_srgb
from inference.camera import Cameras
from inference.camera_request import CameraError, CameraRequest
from inference.checked import CheckedFaces
from inference.faces import Encoding, FaceAnswer, FaceReconstructor, FaceRequest, Glance, find_faces
from inference.hair import HairMaker
from inference.head import RELIT_PX, Head
from inference.inputs import InputImage
from inference.intrinsics import given_intrinsics
from inference.jobs import FaceJob, FaceReconstructing
from inference.mean_head import MeanHead
from inference.network_session import SESSION_FILE, NetworkSession
from inference.options import BATCH_SIZE, DEFAULT_LOOKS, Backend, CommandLineError, HairKind, MaterialKind
from inference.refine import Refiner
from inference.refine_options import RefineOptions
from inference.refine_request import DEFAULT_REFINE_CONFIG, LEVELS, NETWORK_LANDMARKS, Level, PathTrace, RefineRequest
from inference.refine_setup import build_refiner, load_options
from inference.transport_cache import TransportCache
from model.checkpoint import load_reconstructor
from model.export.face_files import FaceFiles
from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas
from model.reconstructor import Reconstructor

if TYPE_CHECKING:
    from inference.video import FilmedHead

Photograph = str | Path | Image.Image | UInt8[np.ndarray, "height width 3"]
"""A file of any common kind, a picture of Pillow's, or sRGB pixels."""


class Likeness:
    """A detector and a network that make heads of the faces of photographs.

    Attributes:
        detector: Finds the faces.
        faces: Reconstructs them.
        device: Where both run.
        checked: The same reconstruction, with each answer compared with what was detected.
        hair_maker: Finds the hair of the heads.
    """

    def __init__(
        self,
        detector: FaceDetector,
        faces: FaceReconstructor,
        device: torch.device,
        texture_size: int | None = None,
        material: MaterialKind = "lit",
        hair: HairKind = "shell",
    ) -> None:
        """Put the parts together; `load` and `of_network` make them."""
        self.detector = detector
        self.faces = faces
        self.device = device
        self.checked = CheckedFaces(faces, detector)
        # What the files of all heads share, such as the atlas, is worked out once.
        self._files = FaceFiles(self.morphable_model, texture_size, lit=material == "lit")
        self.hair_maker = HairMaker(self.morphable_model, device, hair)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        *,
        looks: int = DEFAULT_LOOKS,
        min_face: float = MIN_FACE_PX,
        min_score: float = MIN_SCORE,
        texture_size: int | None = None,
        material: MaterialKind = "lit",
        hair: HairKind = "shell",
        backend: Backend = "auto",
    ) -> "Likeness":
        """Load detector and network.

        Args:
            checkpoint: A checkpoint folder; by default the released network, which comes with the package.
            device: `auto`, which is CUDA where there is one, `cpu` or `cuda`.
            looks: How often each face is cropped, see `FaceReconstructor`.
            min_face: Smallest face that is looked for, in px of the photograph.
            min_score: Least score of the detector for a face, 0.3 to 1.
            texture_size: Side of the textures in px; None for as many as each photograph has detail for.
            material: What covers the heads of GLB files: `lit` skin, or the photograph `unlit`.
            hair: What becomes of hair: `shell`, `cap` or `none`, see `HairKind`.
            backend: What runs the network: `torch`, or `onnx`, which takes the file that `likeness export` put into
                the checkpoint's folder and is for the CPU; `auto` is `onnx` on the CPU where there is such a file.

        Raises:
            FileNotFoundError: If the checkpoint or one of its files is missing.
            ValueError: If the checkpoint is none, the device is not there, or a number cannot be.
        """
        chosen = find_device("cpu" if backend == "onnx" and device == "auto" else device)
        folder = Path(checkpoint or DEFAULT_CHECKPOINT)
        return cls.of_network(
            load_reconstructor(folder, str(chosen)),
            chosen,
            looks,
            min_face=min_face,
            min_score=min_score,
            texture_size=texture_size,
            material=material,
            hair=hair,
            encode=encoding(backend, folder, chosen),
        )

    @classmethod
    def of_network(
        cls,
        reconstructor: Reconstructor,
        device: torch.device,
        looks: int = DEFAULT_LOOKS,
        *,
        min_face: float = MIN_FACE_PX,
        min_score: float = MIN_SCORE,
        texture_size: int | None = None,
        material: MaterialKind = "lit",
        hair: HairKind = "shell",
        encode: Encoding | None = None,
    ) -> "Likeness":
        """A network that is loaded already, with the detector that comes with it.

        Args:
            reconstructor: The network, on `device`, in evaluation mode.
            device: Where both run.
            looks: How often each face is cropped, see `FaceReconstructor`.
            min_face: Smallest face that is looked for, in px of the photograph.
            min_score: Least score of the detector for a face, 0.3 to 1.
            texture_size: Side of the textures in px; None for as many as each photograph has detail for.
            material: What covers the heads of GLB files: `lit` skin, or the photograph `unlit`.
            hair: What becomes of hair, see `HairKind`.
            encode: Who answers crops in place of the network itself, see `encoding`.

        Raises:
            ValueError: If there is no look at all, or a number cannot be.
        """
        detector = FaceDetector(str(device), min_face, min_score)
        faces = FaceReconstructor(reconstructor, device, looks, encode=encode)
        return cls(detector, faces, device, texture_size, material, hair)

    @property
    def morphable_model(self) -> MorphableModel:
        """The head model: its triangles, names of expressions, regions."""
        return self.faces.reconstructor.morphable_model

    @property
    def atlases(self) -> tuple[Atlas, ...]:
        """The texture spaces of the head's parts, the skin's first, at the least resolution that its textures have."""
        return self._files.atlases

    def reconstruct(
        self,
        photograph: Photograph,
        *,
        largest_face: bool = False,
        fov: float | None = None,
        focal_px: float | None = None,
        intrinsics: str | Path | Float[np.ndarray, "3 3"] | None = None,
        refine: Level = "none",
        refine_config: str | Path = DEFAULT_REFINE_CONFIG,
        network: bool = True,
        landmarks: str | Path = NETWORK_LANDMARKS,
        path_trace: PathTrace = "auto",
        batch_size: int = BATCH_SIZE,
    ) -> list[Head]:
        """Reconstruct the faces of a photograph, as `infer.py` does; the options have its options' names.

        Args:
            photograph: A file, a picture of Pillow's, or sRGB pixels of shape (height, width, 3), 8 bits. Files and
                pictures are turned upright as their EXIF data say; pixels are taken as they are.
            largest_face: Only the largest face.
            fov: Field of view in degrees over the photograph's longer side, where it is known. Without this and the
                next two options, the camera is what EXIF data say, and else assumed.
            focal_px: Focal length in px of the photograph, where it is known.
            intrinsics: The camera's matrix, where it is known, in px of the upright photograph, or a file with it.
            refine: The stage up to which each head is then fitted to its photograph, docs/refinement.md.
            refine_config: YAML with the settings of the stages.
            network: Whether the refinement starts from the network's answer; else from the mean head.
            landmarks: What the landmark fit goes by.
            path_trace: Whether Mitsuba draws the final picture of a ray-traced head; `auto` is where it can.
            batch_size: Faces that the network takes at once.

        Returns:
            The heads, largest face first; empty where no face was found.

        Raises:
            UnreadableImageError: If the file gives no photograph; a `ValueError` that says why.
            CameraError: If the camera cannot be this photograph's; a `ValueError` too.
            ValueError: If pixels are of another kind, or an option cannot be used.
        """
        decoded, path = as_photograph(photograph)
        if decoded.note:
            warnings.warn(f"{path}: {decoded.note}", stacklevel=2)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if refine not in LEVELS:
            raise ValueError(f"refine={refine!r}: expected one of {', '.join(LEVELS)}")
        request = RefineRequest(refine, Path(refine_config), network, str(landmarks), path_trace)
        cameras = _cameras(fov, focal_px, intrinsics)
        camera = cameras.of(decoded, path)
        refiner, relit_px = self._refiner_of(request, known_camera=cameras.given)
        detections = find_faces(self.detector, decoded.image_srgb, largest_face=largest_face)
        requests = [FaceRequest.of_detection(decoded.image_srgb, found, camera) for found in detections]
        jobs = self._jobs(requests, path, detections, network, batch_size)
        refined = jobs if refiner is None else [job.refined_by(refiner) for job in jobs]
        return [self.head_of(job, relit_px) for job in refined]

    def reconstruct_video(
        self,
        video: str | Path,
        *,
        largest_face: bool = False,
        fov: float | None = None,
        focal_px: float | None = None,
        intrinsics: str | Path | Float[np.ndarray, "3 3"] | None = None,
    ) -> list["FilmedHead"]:
        """Follow the people of a video, as `infer.py --video` does (docs/video.md).

        Args:
            video: A file of any kind that FFmpeg reads.
            largest_face: Only one person.
            fov: As of `reconstruct`, and so are the next two.
            focal_px: Focal length in px.
            intrinsics: The camera's matrix.

        Returns:
            One moving head for each person, who is seen longest first; empty where no face was found.

        Raises:
            UnreadableVideoError: If the file gives no frame; a `ValueError` that says why.
            CameraError: If the camera cannot be this video's; a `ValueError` too.
            ModuleNotFoundError: If PyAV is missing: `pip install 'likeness[video]'`.
        """
        # Late: it is built on this class.
        from inference.video import reconstruct_video

        people, _, note = reconstruct_video(
            self, Path(video), cameras=_cameras(fov, focal_px, intrinsics), largest_face=largest_face
        )
        if note:
            warnings.warn(f"{video}: {note}", stacklevel=2)
        return people

    def head_of(self, job: FaceJob, relit_px: int = RELIT_PX, files: FaceFiles | None = None) -> Head:
        """The head of a face that was reconstructed; `files` writes it, by default as this object was told."""
        return Head.of(job, files or self._files, relit_px, self.hair_maker)

    def glance(self, photograph: Photograph, *, largest_face: bool = True) -> list[Glance]:
        """The quickest answer, for live pictures: parameters and 68 landmarks of the faces, after a single look.

        `reconstruct` looks again where the first look found the landmarks, and at the mirror image, which is more
        accurate (2.58 % NME on held-out photographs, not 2.72), says how sure it is, and makes the mesh.

        Args:
            photograph: As for `reconstruct`. The camera is what EXIF data say, and else assumed.
            largest_face: Only the largest face, which is found several times as fast as all.

        Returns:
            The faces, the largest first; empty where none was found.

        Raises:
            UnreadableImageError: If the file gives no photograph.
            ValueError: If pixels are of another kind.
        """
        decoded, path = as_photograph(photograph)
        camera = Cameras().of(decoded, path)
        detections = find_faces(self.detector, decoded.image_srgb, largest_face=largest_face)
        return self.faces.glances([FaceRequest.of_detection(decoded.image_srgb, one, camera) for one in detections])

    def reconstructing(self, *, network: bool) -> FaceReconstructing:
        """Who answers first: the network, or else the mean head, for a refinement to start from."""
        return self.checked if network else MeanHead(self.faces.reconstructor)

    def refiner(
        self,
        request: RefineRequest,
        options: RefineOptions,
        *,
        pictures: bool = True,
        cache: TransportCache | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> Refiner:
        """Who refines the answers.

        Args:
            request: What is asked for; not the level `none`.
            options: The settings of the stages.
            pictures: Whether pictures of the result are wanted.
            cache: Where traced light transport is kept; by default nowhere.
            tell: Called with what is being done.

        Raises:
            CommandLineError: If a landmark source or a stage cannot be used.
        """
        cache = cache or TransportCache(None, 0.0)
        return build_refiner(request, options, self.morphable_model, self.device, tell, pictures=pictures, cache=cache)

    def _refiner_of(self, request: RefineRequest, *, known_camera: bool) -> tuple[Refiner | None, int]:
        """The refiner that a call asks for, if any, and the side of the pictures of its relit strip."""
        if request.level == "none":
            return None, RELIT_PX
        try:
            options = load_options(request)
            options = options.with_known_camera() if known_camera else options
            return self.refiner(request, options), options.pictures.relit_px
        except CommandLineError as error:
            raise ValueError(str(error)) from error

    def _jobs(
        self,
        requests: list[FaceRequest],
        path: Place,
        detections: list[Detection],
        network: bool,
        batch_size: int,
    ) -> list[FaceJob]:
        """The faces of a photograph, reconstructed in batches."""
        reconstructing = self.reconstructing(network=network)
        answers: list[FaceAnswer] = []
        for start in range(0, len(requests), batch_size):
            answers += reconstructing.answers(requests[start : start + batch_size])
        item = InputImage(path, path.name)
        return [
            FaceJob.of_answer(item, index, found, answer)
            for index, (found, answer) in enumerate(zip(detections, answers, strict=True))
        ]


def _cameras(
    fov: float | None, focal_px: float | None, intrinsics: str | Path | Float[np.ndarray, "3 3"] | None
) -> Cameras:
    """Who says which camera a photograph has."""
    if intrinsics is None or isinstance(intrinsics, str | Path):
        return Cameras(CameraRequest(fov, focal_px, None if intrinsics is None else Path(intrinsics)))
    if fov is not None or focal_px is not None:
        raise CameraError("intrinsics and fov or focal_px: the camera is said once; leave out all but one")
    return Cameras(table=given_intrinsics(intrinsics))


def as_photograph(photograph: Photograph) -> tuple[DecodedPhotograph, Place]:
    """The pixels of whatever a photograph was given as, with its EXIF's focal length, and what its file is called.

    Raises:
        UnreadableImageError: If a file cannot be read.
        TypeError: If it is something else altogether.
        ValueError: If an array does not hold sRGB pixels of 8 bits.
    """
    if isinstance(photograph, str | Path):
        place = place_of(photograph)
        return open_photograph(place), place
    if isinstance(photograph, Image.Image):
        # Pillow's pictures know their file, if they come from one.
        photograph.load()
        decoded = DecodedPhotograph(upright_srgb(photograph), focal_from_exif(photograph))
        return decoded, Path(getattr(photograph, "filename", "") or "photograph")
    if not isinstance(photograph, np.ndarray):
        raise TypeError(f"a photograph is a path, a picture of Pillow's or an array, not {type(photograph).__name__}")
    if photograph.dtype != np.uint8 or photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.size == 0:
        raise ValueError(
            f"a photograph of shape {photograph.shape} and type {photograph.dtype}: expected sRGB pixels of shape "
            "(height, width, 3) and type uint8; Pillow's Image.fromarray(...) is taken in other modes as well"
        )
    return DecodedPhotograph(np.ascontiguousarray(photograph)), Path("photograph")


def encoding(backend: Backend, checkpoint: Path, device: torch.device) -> Encoding | None:
    """Who answers crops in place of a checkpoint's network in PyTorch; None where that does itself.

    Raises:
        FileNotFoundError: If onnxruntime is asked for and the checkpoint holds no file for it.
        ValueError: If the file is of another network, or the device is not the CPU. Where `auto` comes upon such a
            file, it warns, and PyTorch runs the network.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"backend {backend!r}: expected {', '.join(get_args(Backend))}")
    on_cpu = device.type == "cpu"
    if backend == "torch" or (backend == "auto" and not (on_cpu and (checkpoint / SESSION_FILE).is_file())):
        return None
    if not on_cpu:
        raise ValueError(f"the backend onnx is for the CPU, not for {device}")
    try:
        return NetworkSession.of_checkpoint(checkpoint).look_at
    except ValueError as error:
        if backend == "onnx":
            raise
        warnings.warn(f"{error}; until then PyTorch runs the network", stacklevel=2)
        return None


def find_device(name: str) -> torch.device:
    """The device called `auto`, `cpu` or `cuda`.

    Raises:
        ValueError: If it is `cuda` and there is none, or a name that torch does not know.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name}: torch finds no CUDA device here; use the device cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r}: expected auto, cpu or cuda") from error
