"""The published models that can be read, by the names that `likeness head convert --from` takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.face.readers.foreign import ForeignHead


@dataclass(frozen=True)
class SourceFiles:
    """The files of a published model; which are asked for depends on the model (docs/morphable-models.md).

    Attributes:
        model: The model, or the folder it lies in.
        landmarks: Its landmarks, where they are a file of their own.
        contour: FLAME's outline by yaw, where it is one.
        texture: A texture space or albedo model for it.
        masks: FLAME's regions.
        expressions: Blendshapes for it, where they are a file of their own.
    """

    model: Path
    landmarks: Path | None = None
    contour: Path | None = None
    texture: Path | None = None
    masks: Path | None = None
    expressions: Path | None = None


def _ict(files: SourceFiles) -> ForeignHead:
    from model.face.readers.ict_head import read_ict_head

    return read_ict_head(files.model)


def _flame(files: SourceFiles) -> ForeignHead:
    from model.face.readers.flame import FlameFiles, read_flame

    return read_flame(FlameFiles(files.model, files.landmarks, files.contour, files.texture, files.masks))


def _bfm2009(files: SourceFiles) -> ForeignHead:
    from model.face.readers.basel import read_basel_2009

    return read_basel_2009(files.model)


def _deep3d(files: SourceFiles) -> ForeignHead:
    from model.face.readers.basel import read_deep3d

    return read_deep3d(files.model)


def _basel_hdf5(files: SourceFiles) -> ForeignHead:
    from model.face.readers.basel import read_basel_hdf5

    return read_basel_hdf5(files.model, files.texture)


def _gnm(files: SourceFiles) -> ForeignHead:
    from model.face.readers.gnm import read_gnm

    return read_gnm(files.model, files.landmarks)


def _surrey(files: SourceFiles) -> ForeignHead:
    from model.face.readers.surrey import read_surrey

    return read_surrey(files.model, files.expressions)


KINDS: dict[str, tuple[Callable[[SourceFiles], ForeignHead], tuple[str, ...]]] = {
    "ict": (_ict, ()),
    "flame": (_flame, ("landmarks", "contour", "texture", "masks")),
    "bfm2009": (_bfm2009, ()),
    "bfm2009-deep3d": (_deep3d, ()),
    "bfm2017": (_basel_hdf5, ("texture",)),
    "bfm2019": (_basel_hdf5, ("texture",)),
    "gnm": (_gnm, ("landmarks",)),
    "surrey": (_surrey, ("expressions",)),
}
"""What reads each kind, and which further files it takes."""


def read_kind(kind: str, files: SourceFiles) -> ForeignHead:
    """Read a published model.

    Args:
        kind: One of `KINDS`.
        files: Its files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, or is none that this kind takes; the message says which.
    """
    if kind not in KINDS:
        raise ValueError(f"--from {kind}: expected one of {', '.join(KINDS)}")
    read, takes = KINDS[kind]
    for name in ("landmarks", "contour", "texture", "masks", "expressions"):
        if getattr(files, name) is not None and name not in takes:
            allowed = f"takes {', '.join(f'--{one}' for one in takes)} alone" if takes else "takes no further files"
            raise ValueError(f"--{name} {getattr(files, name)}: --from {kind} {allowed}")
    return read(files)
