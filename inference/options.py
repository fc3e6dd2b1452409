"""What a run of `infer.py` is asked to do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from common.paths import DEFAULT_CHECKPOINT
from common.ranges import AT_LEAST_ONE
from inference.refine_request import RefineRequest

BATCH_SIZE = 16
"""Faces that the network takes at once, unless another number is asked for."""

Format = Literal["glb", "obj", "npz", "overlay", "maps", "pictures"]
ALL_FORMATS: tuple[Format, ...] = get_args(Format)

Device = Literal["auto", "cpu", "cuda"]

HairKind = Literal["shell", "cap", "none"]
"""A mesh of its own over a bald head; the photographed hair painted on the skull; no hair at all."""

_LEVELS: dict[str, tuple[str, ...]] = {"maps": ("raytrace",), "pictures": ("landmarks", "raster", "raytrace")}
"""Where a format is written only for refined faces: of which levels."""


class CommandLineError(Exception):
    """The command line asks for something that is not there; the message is one line."""


@dataclass(frozen=True)
class InferenceOptions:
    """The command line of `infer.py`.

    Attributes:
        images: Photographs and folders of them; folders are searched recursively.
        output: Folder for the results; made if missing.
        checkpoint: Checkpoint folder.
        device: Where detector and network run; `auto` is CUDA where there is one.
        batch_size: Faces the network takes at once.
        largest_face: Reconstruct only the largest face of each photograph.
        formats: What is written for each face; `face.npz` is part of `npz`, the page's turning head of `glb`. `maps`
            is written for ray-traced faces, `pictures` for refined ones.
        hair: What becomes of hair.
        resume: Keep what an earlier run with the same options finished, do the rest.
        refinement: What is done to the network's answer.
    """

    images: list[Path]
    output: Path = Path("results")
    checkpoint: Path = DEFAULT_CHECKPOINT
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: int = BATCH_SIZE
    checkpoint: Path = DEFAULT_CHECKPOINT
    device: Device = "auto"
    batch_size: int = 16
    largest_face: bool = False
    formats: tuple[Format, ...] = ALL_FORMATS
    hair: HairKind = "shell"
    resume: bool = False
    refinement: RefineRequest = field(default_factory=RefineRequest)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        if not self.images:
            raise ValueError("--images names no file or folder")
        if self.batch_size not in AT_LEAST_ONE:
            raise ValueError(f"--batch-size is {self.batch_size}: expected {AT_LEAST_ONE}")
        if not self.formats:
            raise ValueError(f"--formats is empty; choose from {', '.join(ALL_FORMATS)}")
        level = self.refinement.level
        empty = [name for name in self.formats if level not in _LEVELS.get(name, (level,))]
        if len(empty) == len(self.formats):
            needed = ", ".join(f"{name} needs --refine {' or '.join(_LEVELS[name])}" for name in empty)
            raise ValueError(f"--formats {' '.join(empty)} would write nothing: {needed}")
