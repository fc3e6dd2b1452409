"""One run of `infer.py`, from its options to its exit code."""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from common.errors import describe
from inference.camera import Cameras
from inference.inputs import InputImage
from inference.likeness import Likeness
from inference.options import CommandLineError, InferenceOptions
from inference.outputs import FaceWriter, clear_stale, write_gallery_page
from inference.pipeline import Pipeline, not_done
from inference.progress import ProgressDisplay
from inference.refine_options import RefineOptions
from inference.refine_setup import load_options
from inference.report import FaceEntry, ImageEntry, write_report
from inference.resume import Fingerprint, finished_entry, write_record
from inference.setup import load_likeness
from inference.transport_cache import CACHE_FOLDER, TransportCache
from model.export.face_files import FaceFiles

_FOUND, _NOTHING_FOUND = 0, 1


def run(options: InferenceOptions, inputs: Sequence[InputImage]) -> int:
    """Reconstruct all faces of all images.

    Args:
        options: The command line.
        inputs: The images it leads to.

    Returns:
        0 if at least one image gave a face, 1 if none did.

    Raises:
        CommandLineError: If the command line names what is not there.
        KeyboardInterrupt: After the results so far were reported.
    """
    started = time.perf_counter()
    # First of all, since it is quick: a mistyped setting answers before the model is loaded.
    refinement = None if options.refinement.level == "none" else load_options(options.refinement)
    try:
        cameras = Cameras(options.camera)
        if refinement is not None and cameras.given:
            refinement = refinement.with_known_camera()
        likeness = load_likeness(
            options.checkpoint,
            options.device,
            min_face=options.min_face,
            min_score=options.min_score,
            hair=options.hair,
            backend=options.backend,
        )
        fingerprint = Fingerprint.of(options)
    except (OSError, ValueError) as error:
        raise CommandLineError(str(error)) from error
    make_output_folder(options.output)
    entries: dict[str, ImageEntry] = {}
    if options.resume:
        entries = _finished(inputs, options.output, fingerprint)
    remaining = [item for item in inputs if item.key not in entries]
    display = ProgressDisplay(len(remaining))
    try:
        # It writes what the page needs of the head.
        pipeline = _pipeline(options, refinement, cameras, likeness, display)
    except OSError as error:
        raise CommandLineError(f"--output {options.output}: cannot be written to: {describe(error)}") from error
    try:
        _process(remaining, entries, options.output, pipeline, fingerprint, display)
    finally:
        # Also when interrupted: what was finished is finished.
        ordered = [entries.get(item.key) or not_done(item) for item in inputs]
        write_overview(options, ordered, fingerprint, time.perf_counter() - started)
    _print_summary(ordered, kept=len(inputs) - len(remaining), options=options)
    return _FOUND if any(entry.faces for entry in ordered) else _NOTHING_FOUND


def write_overview(
    options: InferenceOptions, entries: Sequence[ImageEntry], fingerprint: Fingerprint, seconds: float
) -> None:
    """Write the report and the page over a run's images or videos.

    Raises:
        CommandLineError: If they cannot be written.
    """
    asked, sha256 = _json_options(options), fingerprint.checkpoint_sha256
    try:
        write_report(options.output, entries, options=asked, checkpoint_sha256=sha256, seconds=seconds)
        write_gallery_page(options.output, entries)
    except OSError as error:
        told = f"report and page cannot be written: {describe(error)}; make room and run again with --resume"
        raise CommandLineError(f"--output {options.output}: {told}") from error


def make_output_folder(folder: Path) -> None:
    """Make the output folder.

    Raises:
        CommandLineError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandLineError(f"--output {folder}: the folder cannot be made ({error.strerror})") from error


def _finished(inputs: Sequence[InputImage], output: Path, fingerprint: Fingerprint) -> dict[str, ImageEntry]:
    found = ((item.key, finished_entry(output, item, fingerprint)) for item in inputs)
    return {key: entry for key, entry in found if entry is not None}


def _pipeline(
    options: InferenceOptions,
    refinement: RefineOptions | None,
    cameras: Cameras,
    likeness: Likeness,
    display: ProgressDisplay,
) -> Pipeline:
    """All that a photograph goes through."""
    refiner = None
    if refinement is not None:
        refiner = likeness.refiner(
            options.refinement,
            refinement,
            pictures="pictures" in options.formats,
            cache=TransportCache(options.output / CACHE_FOLDER, refinement.cache_gb),
            tell=display.doing,
        )
    files = FaceFiles(likeness.morphable_model, options.texture_size, lit=options.material == "lit")
    relit_px = {} if refinement is None else {"relit_px": refinement.pictures.relit_px}
    return Pipeline(
        likeness.detector,
        likeness.reconstructing(network=options.refinement.network),
        FaceWriter(
            options.output, files, options.formats, hair_maker=likeness.hair_maker, mesh=options.mesh, **relit_px
        ).write,
        batch_size=options.batch_size,
        largest_face=options.largest_face,
        workers=worker_count(),
        refiner=refiner,
        cameras=cameras,
    )


def _process(
    inputs: Sequence[InputImage],
    entries: dict[str, ImageEntry],
    output: Path,
    pipeline: Pipeline,
    fingerprint: Fingerprint,
    progress: ProgressDisplay,
) -> None:
    """Run the pipeline over the inputs; each one's entry is added when it is done."""
    items = {item.key: item for item in inputs}
    with progress, closing(pipeline.run(inputs)) as results:
        for result in results:
            entry = _recorded(result, items[result.key], output, fingerprint)
            entries[entry.key] = entry
            if entry.message and entry.status != "unsupported":
                progress.note(f"{entry.image}: {entry.message}")
            for face in entry.faces:
                _tell_what_failed(entry, face, progress)
            progress.advance(len(entry.faces))


def _recorded(entry: ImageEntry, item: InputImage, output: Path, fingerprint: Fingerprint) -> ImageEntry:
    """Put an image's folder in order and mark it as finished; the entry, failed where that cannot be done."""
    try:
        clear_stale(output, entry)
        if entry.status in ("ok", "doubtful", "no_face"):
            write_record(output, entry, item.path, fingerprint)
    # A name too long, a full disk, a photograph that has gone meanwhile: one image's record costs no other its result.
    except (OSError, ValueError) as error:
        told = f"its folder {output / entry.key} cannot be put in order: {describe(error)}"
        return replace(entry, status="failed", message="; ".join(filter(None, (entry.message, told))))
    return entry


def _tell_what_failed(entry: ImageEntry, face: FaceEntry, progress: ProgressDisplay) -> None:
    for stage in face.refinement:
        if not stage.accepted:
            progress.note(f"{entry.image}, {Path(face.folder).name}, {stage.name}: {stage.reason}")


def worker_count() -> int:
    """Threads for reading, and as many for writing: one for each processor this program may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _json_options(options: InferenceOptions) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, list | tuple) else value

    return {name: plain(value) for name, value in asdict(options).items()}


def _print_summary(entries: Sequence[ImageEntry], *, kept: int, options: InferenceOptions) -> None:
    counts = Counter(entry.status for entry in entries)
    faces = sum(len(entry.faces) for entry in entries)
    parts = [f"{count} {status}" for status, count in sorted(counts.items())]
    if kept:
        parts.append(f"{kept} kept from an earlier run")
    print(f"{len(entries)} images, {faces} faces ({', '.join(parts) or 'nothing to read'})")
    # One line for each kind: there may be a raw file beside every photograph. The report names them all.
    unsupported = Counter(entry.message for entry in entries if entry.status == "unsupported")
    for message, count in unsupported.most_common():
        print(f"not read: {count} {'file' if count == 1 else 'files'} ({message})")
    print(f"open {options.output / 'index.html'}")
