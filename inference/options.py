"""What a run of `infer.py` is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from common.mesh_options import MESH_DEFAULTS, MeshOptions
from common.paths import DEFAULT_CHECKPOINT
from common.places import Place
from common.ranges import AT_LEAST_ONE, Range
from common.ray_jobs import RayRequest
from common.texture_sizes import TEXTURE_SIDES
from data.detection_limits import LEAST_SCORE, MIN_FACE_PX, MIN_SCORE
from inference.camera_request import CameraRequest
from inference.refine_request import RefineRequest

BATCH_SIZE = 16
"""Faces that the network takes at once, unless another number is asked for."""

DEFAULT_LOOKS = 2
"""The detector's window is worse than the one around the landmarks that the look before found, most of all for
profiles. A third look brings nothing more.
"""

Format = Literal["glb", "obj", "npz", "overlay", "maps", "pictures", "usd", "splats", "volume"]
ALL_FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("glb", "obj", "npz", "overlay", "maps", "pictures")
"""Without those that few want, or that need packages which few have."""

_PACKAGES = {"usd": {"pxr": "usd-core"}, "volume": {"igl": "libigl", "nrrd": "pynrrd"}}
"""Of formats that need some beyond those of all: the modules, and the packages that bring them."""

MaterialKind = Literal["lit", "unlit"]
"""Skin that the viewer lights, or the photograph with its own light."""

Device = Literal["auto", "cpu", "cuda"]

_SIDES = ", ".join(map(str, TEXTURE_SIDES))
HairKind = Literal["shell", "cap", "none"]
"""A mesh of its own over a bald head; the photographed hair painted on the skull; no hair at all."""
Backend = Literal["auto", "torch", "onnx"]
"""What runs the network: PyTorch, or onnxruntime, which is for the CPU and faster there; `auto` prefers the latter."""

_LEVELS: dict[str, tuple[str, ...]] = {"maps": ("raytrace",), "pictures": ("landmarks", "raster", "raytrace")}
"""Where a format is written only for refined faces: of which levels."""


def check_formats(formats: Sequence[Format]) -> None:
    """Refuse a format whose package is missing.

    Raises:
        ValueError: Naming the package.
    """
    for name in formats:
        missing = [package for module, package in _PACKAGES.get(name, {}).items() if find_spec(module) is None]
        if missing:
            raise ValueError(
                f"the format {name} needs what is not here: pip install {' '.join(missing)} (or the extra {name})"
            )


class CommandLineError(Exception):
    """The command line asks for something that is not there; the message is one line."""


@dataclass(frozen=True)
class InferenceOptions:
    """The command line of `infer.py`.

    Attributes:
        images: Photographs and folders of them, here or behind addresses; folders are searched recursively.
        videos: Videos; either these or photographs.
        output: Folder for the results, here or behind an address; made if missing.
        checkpoint: Checkpoint folder.
        device: Where detector and network run; `auto` is CUDA where there is one.
        backend: What runs the network; `onnx` takes the file that `likeness export` put into the checkpoint's folder,
            `auto` does so on the CPU where there is one.
        batch_size: Faces the network takes at once.
        largest_face: Reconstruct only the largest face of each photograph.
        min_face: Smallest face that is looked for, in px of the photograph.
        min_score: Least score of the detector for a face.
        formats: What is written for each face; `face.npz` is part of `npz`, the page's turning head of `glb`. `maps`
            is written for ray-traced faces, `pictures` for refined ones; `splats` and `volume` only where asked for.
        texture_size: Side of the textures in px; None for as many as each photograph has detail for.
        material: What covers the head of the GLB.
        hair: What becomes of hair.
        mesh: How meshes are written.
        resume: Keep what an earlier run with the same options finished, do the rest.
        camera: What is known of the photographs' camera.
        refinement: What is done to the network's answer.
        ray: Where the run is done by Ray; None for this process.
    """

    images: list[Place]
    output: Place = Path("results")
    checkpoint: Path = DEFAULT_CHECKPOINT
    device: Device = "auto"
    backend: Backend = "auto"
    batch_size: int = BATCH_SIZE
    largest_face: bool = False
    min_face: float = MIN_FACE_PX
    min_score: float = MIN_SCORE
    formats: tuple[Format, ...] = DEFAULT_FORMATS
    texture_size: int | None = None
    material: MaterialKind = "lit"
    hair: HairKind = "shell"
    mesh: MeshOptions = MESH_DEFAULTS
    resume: bool = False
    camera: CameraRequest = field(default_factory=CameraRequest)
    refinement: RefineRequest = field(default_factory=RefineRequest)
    videos: tuple[Path, ...] = ()
    ray: RayRequest | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        if not self.images and not self.videos:
            raise ValueError("--images names no file or folder")
        if self.images and self.videos:
            raise ValueError("--images and --video: a run takes the one or the other")
        if self.videos and self.refinement.level != "none":
            raise ValueError(f"--refine {self.refinement.level}: for photographs; a video's heads are not refined")
        if self.videos and (self.ray is not None or not isinstance(self.output, Path)):
            raise ValueError("--video: videos are done by this machine and written to a folder of it, without --ray")
        if self.backend == "onnx" and self.device == "cuda":
            raise ValueError("--backend onnx is for the CPU: leave out --device cuda")
        if self.batch_size not in AT_LEAST_ONE:
            raise ValueError(f"--batch-size is {self.batch_size}: expected {AT_LEAST_ONE}")
        if self.min_face not in AT_LEAST_ONE:
            raise ValueError(f"--min-face is {self.min_face:g}: expected px, {AT_LEAST_ONE}")
        if self.min_score not in (scores := Range(LEAST_SCORE, 1)):
            raise ValueError(f"--min-score is {self.min_score:g}: expected {scores}")
        if self.texture_size not in (None, *TEXTURE_SIDES):
            raise ValueError(f"--texture-size is {self.texture_size}: expected {_SIDES}")
        if not self.formats:
            raise ValueError(f"--formats is empty; choose from {', '.join(ALL_FORMATS)}")
        check_formats(self.formats)
        level = self.refinement.level
        empty = [name for name in self.formats if level not in _LEVELS.get(name, (level,))]
        if len(empty) == len(self.formats):
            needed = ", ".join(f"{name} needs --refine {' or '.join(_LEVELS[name])}" for name in empty)
            raise ValueError(f"--formats {' '.join(empty)} would write nothing: {needed}")
