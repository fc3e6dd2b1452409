"""`PhotographWork`: what one process needs to make heads of photographs, loaded once."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from common.errors import describe
from common.places import Place
from inference.camera import Cameras
from inference.inputs import InputImage
from inference.likeness import Likeness
from inference.options import CommandLineError, InferenceOptions
from inference.outlet import Outlet
from inference.outputs import FaceWriter, clear_stale
from inference.pipeline import Pipeline
from inference.refine_options import RefineOptions
from inference.refine_setup import load_options
from inference.report import ImageEntry
from inference.resume import Fingerprint, write_record
from inference.setup import load_likeness
from inference.transport_cache import CACHE_FOLDER, TransportCache
from model.export.face_files import FaceFiles
from model.face.morphable_model import MorphableModel


@dataclass(frozen=True)
class Asked:
    """What the files say that a command line names, apart from the checkpoint.

    Attributes:
        cameras: Which camera a photograph has.
        refinement: Settings of the refinement; None where none is asked for.
    """

    cameras: Cameras
    refinement: RefineOptions | None

    @classmethod
    def of(cls, options: InferenceOptions) -> "Asked":
        """Read the files; quick, so that a mistyped setting answers before anything is loaded.

        Raises:
            CommandLineError: If one cannot be used.
        """
        refinement = None if options.refinement.level == "none" else load_options(options.refinement)
        try:
            cameras = Cameras(options.camera)
        except (OSError, ValueError) as error:
            raise CommandLineError(str(error)) from error
        if refinement is not None and cameras.given:
            refinement = refinement.with_known_camera()
        return cls(cameras, refinement)


def load_asked(options: InferenceOptions) -> Likeness:
    """Detector and network as a command line asks for them.

    Raises:
        CommandLineError: If the checkpoint, a network beside it, the device or the backend cannot be used.
    """
    try:
        return load_likeness(
            options.checkpoint,
            options.device,
            min_face=options.min_face,
            min_score=options.min_score,
            hair=options.hair,
            backend=options.backend,
        )
    except (OSError, ValueError) as error:
        raise CommandLineError(str(error)) from error


def files_asked(options: InferenceOptions, model: MorphableModel) -> FaceFiles:
    """What writes faces of a head model as a command line asks for it."""
    return FaceFiles(model, options.texture_size, lit=options.material == "lit")


def fingerprint_of(options: InferenceOptions) -> Fingerprint:
    """The fingerprint of a run.

    Raises:
        CommandLineError: If a file that it is made of cannot be read.
    """
    try:
        return Fingerprint.of(options)
    except (OSError, ValueError) as error:
        raise CommandLineError(str(error)) from error


def open_outlet(output: Place) -> Outlet:
    """Where the results go.

    Raises:
        CommandLineError: If their folder cannot be made.
    """
    try:
        return Outlet(output)
    except OSError as error:
        raise CommandLineError(f"--output {output}: the folder cannot be made ({error.strerror})") from error


class PhotographWork:
    """Makes heads of photographs, writes them and records each photograph that is done."""

    def __init__(
        self,
        options: InferenceOptions,
        *,
        workers: int,
        run: str = "",
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Load everything.

        Args:
            options: The command line.
            workers: Threads that read, and threads that write.
            run: Name of the run, for its records.
            tell: Called with what takes long.

        Raises:
            CommandLineError: If the command line names what is not there.
        """
        self._place, self._run_name = options.output, run
        asked = Asked.of(options)
        self._likeness = load_asked(options)
        self.fingerprint = fingerprint_of(options)
        self.outlet = open_outlet(options.output)
        try:
            # It writes what the page needs of the head.
            self._pipeline = self._pipeline_of(options, asked, workers, tell)
            self.outlet.send_rest()
        except OSError as error:
            raise CommandLineError(f"--output {options.output}: cannot be written to: {describe(error)}") from error

    def _pipeline_of(
        self, options: InferenceOptions, asked: Asked, workers: int, tell: Callable[[str], None]
    ) -> Pipeline:
        """All that a photograph goes through."""
        likeness, refinement, refiner = self._likeness, asked.refinement, None
        if refinement is not None:
            refiner = likeness.refiner(
                options.refinement,
                refinement,
                pictures="pictures" in options.formats,
                cache=TransportCache(self.outlet.folder / CACHE_FOLDER, refinement.cache_gb),
                tell=tell,
            )
        files = files_asked(options, likeness.morphable_model)
        relit_px = {} if refinement is None else {"relit_px": refinement.pictures.relit_px}
        return Pipeline(
            likeness.detector,
            likeness.reconstructing(network=options.refinement.network),
            FaceWriter(
                self.outlet.folder,
                files,
                options.formats,
                hair_maker=likeness.hair_maker,
                mesh=options.mesh,
                **relit_px,
            ).write,
            batch_size=options.batch_size,
            largest_face=options.largest_face,
            workers=workers,
            refiner=refiner,
            cameras=asked.cameras,
        )

    def entries(self, inputs: Sequence[InputImage]) -> Generator[ImageEntry, None, None]:
        """Do photographs; yields the entry of each when it is done and recorded, in any order."""
        items = {item.key: item for item in inputs}
        with closing(self._pipeline.run(inputs)) as results:
            for entry in results:
                yield self._recorded(entry, items[entry.key])

    def _recorded(self, entry: ImageEntry, item: InputImage) -> ImageEntry:
        """Put an image's folder in order and mark it as finished; the entry, failed where that cannot be done."""
        try:
            clear_stale(self.outlet.folder, entry)
            if entry.status in ("ok", "doubtful", "no_face"):
                write_record(self.outlet.folder, entry, item.path, self.fingerprint, self._run_name)
            self.outlet.send_image(entry.key)
        # A name too long, a full disk, a photograph that has gone meanwhile: one image's record costs no other its
        # result.
        except (OSError, ValueError) as error:
            told = f"its folder {self._place / entry.key} cannot be put in order: {describe(error)}"
            return replace(entry, status="failed", message="; ".join(filter(None, (entry.message, told))))
        return entry


def worker_count() -> int:
    """Threads for reading, and as many for writing: one for each processor this program may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
