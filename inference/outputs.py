"""Writing what was found: the folder of a face, and clearing what an earlier run left there."""

import math
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from common.atomic import temporary_of
from common.mesh_options import MESH_DEFAULTS, MeshOptions
from inference.hair import HairMaker
from inference.head import RELIT_PX, Head
from inference.jobs import FaceJob
from inference.options import Format
from inference.outlet import FACE_FOLDER
from inference.report import FaceEntry, ImageEntry, StageEntry
from inference.resume import RECORD_NAME
from inference.video import FilmedHead
from model.export.face_files import FaceFiles
from model.export.gallery import GalleryFace, GalleryRow, write_gallery
from model.export.viewer_files import write_head_script
from model.refine.face import StageRecord

_HALF_WRITTEN = ".writing-"


class FaceWriter:
    """Writes the files of faces below the output folder."""

    def __init__(
        self,
        output: Path,
        files: FaceFiles,
        formats: Sequence[Format],
        relit_px: int = RELIT_PX,
        hair_maker: HairMaker | None = None,
        mesh: MeshOptions = MESH_DEFAULTS,
    ) -> None:
        """Remember where, what and how to write, the side of relit pictures, and who finds hair, if anybody."""
        self._mesh = mesh
        self._hair_maker = hair_maker
        self._relit_px = relit_px
        self._output = output
        self._files = files
        self._formats = tuple(formats)
        if "glb" in self._formats:
            write_head_script(files.morphable_model, files.atlases, output)

    def write(self, job: FaceJob) -> FaceEntry:
        """Write one face; its folder appears whole, and holds nothing else afterwards."""
        head, refined = Head.of(job, self._files, self._relit_px, self._hair_maker), job.refined
        stages = () if refined is None else tuple(map(_stage_entry, refined.records))
        return self._written(f"{job.item.key}/face{job.index}", head, head.save, stages)

    def write_filmed(self, key: str, index: int, filmed: FilmedHead) -> FaceEntry:
        """Write a person of a video, as `write` does."""
        return self._written(f"{key}/face{index}", filmed.head, filmed.save)

    def _written(
        self,
        folder: str,
        head: Head,
        save: Callable[..., None],
        stages: tuple[StageEntry, ...] = (),
    ) -> FaceEntry:
        result = head.result
        with atomic_folder(self._output / folder) as temporary:
            save(temporary, self._formats, **asdict(self._mesh))
            files = {path.name: (path.stat().st_size, zlib.crc32(path.read_bytes())) for path in temporary.iterdir()}
        left, top, right, bottom = (float(edge) for edge in result.box_px)
        yaw, pitch, roll = (float(angle) for angle in result.yaw_pitch_roll_degrees)
        sure = None if math.isnan(result.confidence) else round(result.confidence, 4)
        return FaceEntry(folder, (left, top, right, bottom), result.score, (yaw, pitch, roll), files, stages, sure)


def _stage_entry(record: StageRecord) -> StageEntry:
    return StageEntry(record.name, record.accepted, record.reason, round(record.seconds, 3))


def write_gallery_page(output: Path, entries: Sequence[ImageEntry]) -> None:
    """Write `index.html` over all entries of a run."""
    rows = [
        GalleryRow(
            entry.image,
            entry.status,
            entry.message,
            tuple(GalleryFace(face.folder, face.yaw_pitch_roll_degrees, frozenset(face.files)) for face in entry.faces),
        )
        for entry in entries
    ]
    write_gallery(rows, output / "index.html")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`; on success it takes its place, on an error it is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_HALF_WRITTEN))
    try:
        yield temporary
        temporary.chmod(folder.parent.stat().st_mode & 0o777)
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def clear_stale(output: Path, entry: ImageEntry) -> None:
    """Remove what an earlier run left of an image beyond this run's faces, and its record."""
    folder = output / entry.key
    if not folder.is_dir():
        return
    (folder / RECORD_NAME).unlink(missing_ok=True)
    for half_written in folder.glob(temporary_of(RECORD_NAME)):
        half_written.unlink(missing_ok=True)
    current = {Path(face.folder).name for face in entry.faces}
    for child in folder.iterdir():
        stale = FACE_FOLDER.fullmatch(child.name) and child.name not in current
        if (stale or child.name.startswith(_HALF_WRITTEN)) and child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
