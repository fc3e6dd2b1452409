"""What `likeness export` may be asked for; read and refused without torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from common.paths import DEFAULT_CHECKPOINT

NETWORK_FORMAT = "likeness-network-2"
"""What exported files call themselves."""

FileKind = Literal["onnx", "pt2"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)

Precision = Literal["single", "half"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_WRITERS = ("onnx", "onnxscript")


class AnswersDifferError(Exception):
    """A file was made that answers otherwise than PyTorch; it was not kept."""


@dataclass(frozen=True)
class ExportOptions:
    """The command line of `likeness export`.

    Attributes:
        kind: ONNX, or PyTorch's own exported programs.
        output: The file.
        checkpoint: Checkpoint folder.
        precision: What the weights are stored in; it is computed in single precision in any case. In an ONNX file,
            weights that half precision holds exactly, as those of checkpoints are, take half of the room with `single`
            as well.
        photographs: Folder of photographs on whose faces the file is compared with PyTorch, besides made-up crops.
    """

    kind: FileKind
    output: Path
    checkpoint: Path = DEFAULT_CHECKPOINT
    precision: Precision = "single"
    photographs: Path | None = None

    def refuse(self) -> None:
        """Refuse what cannot be written, before anything is loaded.

        Raises:
            FileNotFoundError: If the checkpoint or the photographs are not there.
            ValueError: If the output cannot be such a file, or the packages that write it are missing.
        """
        if not (self.checkpoint / "config.json").is_file():
            raise FileNotFoundError(f"--checkpoint {self.checkpoint}: no checkpoint; it is a folder with a config.json")
        if self.output.suffix != f".{self.kind}":
            raise ValueError(f"--output {self.output}: expected a file name that ends in .{self.kind}")
        if self.output.is_dir():
            raise ValueError(f"--output {self.output}: a folder of this name is in the way")
        for place in self.output.parents:
            if place.is_file():
                raise ValueError(f"--output {self.output}: the file {place} is in the way; name a folder")
        if self.precision == "half" and self.kind != "onnx":
            raise ValueError("--precision half: only with --format onnx")
        if self.photographs is not None and not self.photographs.is_dir():
            raise FileNotFoundError(f"--photographs {self.photographs}: no such folder")
        missing = [name for name in _WRITERS if self.kind == "onnx" and find_spec(name) is None]
        if missing:
            raise ValueError(f"--format onnx needs the package {missing[0]}: pip install {' '.join(_WRITERS)}")
