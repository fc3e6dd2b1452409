"""`Likeness`: photographs in, heads out. What `infer.py` does for one photograph; batches and files are its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from common.paths import DEFAULT_CHECKPOINT
from data.detection import Detection
from data.detector import FaceDetector
from data.image_io import read_photograph, upright_srgb
from inference.faces import DEFAULT_LOOKS, FaceReconstructor, FaceRequest, find_faces
from inference.hair import HairMaker
from inference.head import RELIT_PX, Head
from inference.inputs import InputImage
from inference.jobs import FaceJob, FaceReconstructing
from inference.mean_head import MeanHead
from inference.options import BATCH_SIZE, CommandLineError, HairKind
from inference.refine import Refiner
from inference.refine_options import RefineOptions
from inference.refine_request import DEFAULT_REFINE_CONFIG, LEVELS, NETWORK_LANDMARKS, Level, PathTrace, RefineRequest
from inference.refine_setup import build_refiner, load_options
from inference.transport_cache import TransportCache
from model.checkpoint import load_reconstructor
from model.export.face_files import FaceFiles
from model.face.morphable_model import MorphableModel
from model.reconstructor import Reconstructor

Photograph = str | Path | Image.Image | UInt8[np.ndarray, "height width 3"]
"""A file of any common kind, a picture of Pillow's, or sRGB pixels."""


class Likeness:
    """A detector and a network that make heads of the faces of photographs.

    Attributes:
        detector: Finds the faces.
        faces: Reconstructs them.
        device: Where both run.
        hair_maker: Finds the hair of the heads.
    """

    def __init__(
        self, detector: FaceDetector, faces: FaceReconstructor, device: torch.device, hair: HairKind = "shell"
    ) -> None:
        """Put the parts together; `load` and `of_network` make them."""
        self.detector = detector
        self.faces = faces
        self.device = device
        # What the files of all heads share, such as the atlas, is worked out once.
        self._files = FaceFiles(self.morphable_model)
        self.hair_maker = HairMaker(self.morphable_model, device, hair)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        *,
        looks: int = DEFAULT_LOOKS,
        hair: HairKind = "shell",
    ) -> "Likeness":
        """Load detector and network.

        Args:
            checkpoint: A checkpoint folder; by default the released network, which comes with the package.
            device: `auto`, which is CUDA where there is one, `cpu` or `cuda`.
            looks: How often each face is cropped, see `FaceReconstructor`.
            hair: What becomes of hair: `shell`, `cap` or `none`, see `HairKind`.

        Raises:
            FileNotFoundError: If the checkpoint or one of its files is missing.
            ValueError: If the checkpoint is none, or the device is not there.
        """
        chosen = find_device(device)
        network = load_reconstructor(checkpoint or DEFAULT_CHECKPOINT, str(chosen))
        return cls.of_network(network, chosen, looks, hair)

    @classmethod
    def of_network(
        cls,
        reconstructor: Reconstructor,
        device: torch.device,
        looks: int = DEFAULT_LOOKS,
        hair: HairKind = "shell",
    ) -> "Likeness":
        """A network that is loaded already, with the detector that comes with it.

        Args:
            reconstructor: The network, on `device`, in evaluation mode.
            device: Where both run.
            looks: How often each face is cropped, see `FaceReconstructor`.
            hair: What becomes of hair, see `HairKind`.

        Raises:
            ValueError: If there is no look at all.
        """
        return cls(FaceDetector(device=str(device)), FaceReconstructor(reconstructor, device, looks), device, hair)

    @property
    def morphable_model(self) -> MorphableModel:
        """The head model: its triangles, names of expressions, regions."""
        return self.faces.reconstructor.morphable_model

    def reconstruct(
        self,
        photograph: Photograph,
        *,
        largest_face: bool = False,
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
            ValueError: If pixels are of another kind, or an option cannot be used.
        """
        image_srgb, path = as_photograph(photograph)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if refine not in LEVELS:
            raise ValueError(f"refine={refine!r}: expected one of {', '.join(LEVELS)}")
        request = RefineRequest(
            level=refine,
            config=Path(refine_config),
            network=network,
            landmarks=str(landmarks),
            path_trace=path_trace,
        )
        refiner, relit_px = self._refiner_of(request)
        detections = find_faces(self.detector, image_srgb, largest_face=largest_face)
        jobs: list[FaceJob] = []
        for start in range(0, len(detections), batch_size):
            jobs += self._jobs(image_srgb, path, detections[start : start + batch_size], start, network)
        refined = jobs if refiner is None else [job.refined_by(refiner) for job in jobs]
        return [Head.of(job, self._files, relit_px, self.hair_maker) for job in refined]

    def reconstructing(self, *, network: bool) -> FaceReconstructing:
        """Who answers first: the network, or else the mean head, for a refinement to start from."""
        return self.faces if network else MeanHead(self.faces.reconstructor)

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

    def _refiner_of(self, request: RefineRequest) -> tuple[Refiner | None, int]:
        """The refiner that a call asks for, if any, and the side of the pictures of its relit strip."""
        if request.level == "none":
            return None, RELIT_PX
        try:
            options = load_options(request)
            return self.refiner(request, options), options.pictures.relit_px
        except CommandLineError as error:
            raise ValueError(str(error)) from error

    def _jobs(
        self,
        image_srgb: UInt8[np.ndarray, "height width 3"],
        path: Path,
        detections: list[Detection],
        first: int,
        network: bool,
    ) -> list[FaceJob]:
        """A batch of faces of a photograph, reconstructed."""
        requests = [FaceRequest.of_detection(image_srgb, found) for found in detections]
        answers = self.reconstructing(network=network).reconstruct(requests)
        item = InputImage(path, path.name)
        return [
            FaceJob(item, first + index, image_srgb, found, request, answer)
            for index, (found, request, answer) in enumerate(zip(detections, requests, answers, strict=True))
        ]


def as_photograph(photograph: Photograph) -> tuple[UInt8[np.ndarray, "height width 3"], Path]:
    """The pixels of whatever a photograph was given as, and what its file is called.

    Raises:
        UnreadableImageError: If a file cannot be read.
        TypeError: If it is something else altogether.
        ValueError: If an array does not hold sRGB pixels of 8 bits.
    """
    if isinstance(photograph, str | Path):
        return read_photograph(Path(photograph)), Path(photograph)
    if isinstance(photograph, Image.Image):
        # Pillow's pictures know their file, if they come from one.
        photograph.load()
        return upright_srgb(photograph), Path(getattr(photograph, "filename", "") or "photograph")
    if not isinstance(photograph, np.ndarray):
        raise TypeError(f"a photograph is a path, a picture of Pillow's or an array, not {type(photograph).__name__}")
    if photograph.dtype != np.uint8 or photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.size == 0:
        raise ValueError(
            f"a photograph of shape {photograph.shape} and type {photograph.dtype}: expected sRGB pixels of shape "
            "(height, width, 3) and type uint8; Pillow's Image.fromarray(...) is taken in other modes as well"
        )
    return np.ascontiguousarray(photograph), Path("photograph")


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
