"""One run of `infer.py`, from its options to its exit code."""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from common.errors import describe
from inference.inputs import InputImage
from inference.options import CommandLineError, InferenceOptions
from inference.outlet import Outlet
from inference.outputs import write_gallery_page
from inference.pipeline import not_done
from inference.progress import ProgressDisplay
from inference.ray_run import RayRun
from inference.report import FaceEntry, ImageEntry, write_report
from inference.resume import Fingerprint, finished_entry
from inference.work import PhotographWork, worker_count

_FOUND, _NOTHING_FOUND = 0, 1


class _Run(Protocol):
    """Who does the photographs: this process, or those of Ray.

    Attributes:
        fingerprint: What the results depend on.
        outlet: Where they go.
        display: Tells how far the run is.
        kept: What an earlier run had finished, by key; Ray's workers find it while they go.
    """

    fingerprint: Fingerprint
    outlet: Outlet
    display: ProgressDisplay
    kept: dict[str, ImageEntry]

    def entries(self) -> Generator[ImageEntry, None, None]:
        """Do what is not kept; yields each photograph's entry when it is done and recorded."""
        ...


class _OwnRun:
    """A run in this process."""

    def __init__(self, options: InferenceOptions, inputs: Sequence[InputImage]) -> None:
        self._work = PhotographWork(options, workers=worker_count(), tell=self._tell)
        self.fingerprint, self.outlet = self._work.fingerprint, self._work.outlet
        self.kept: dict[str, ImageEntry] = {}
        if options.resume:
            found = ((item.key, finished_entry(options.output, item, self.fingerprint)) for item in inputs)
            self.kept = {key: entry for key, entry in found if entry is not None}
        self._remaining = [item for item in inputs if item.key not in self.kept]
        self.display = ProgressDisplay(len(self._remaining))

    def _tell(self, text: str) -> None:
        self.display.doing(text)

    def entries(self) -> Generator[ImageEntry, None, None]:
        return self._work.entries(self._remaining)


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
    own: _Run = _OwnRun(options, inputs) if options.ray is None else RayRun(options, options.ray, inputs)
    entries: dict[str, ImageEntry] = {}
    try:
        _process(own, entries)
    finally:
        # Also when interrupted: what was finished is finished.
        entries |= own.kept
        ordered = [entries.get(item.key) or not_done(item) for item in inputs]
        write_overview(options, ordered, own.fingerprint, own.outlet, time.perf_counter() - started)
    _print_summary(ordered, kept=len(own.kept), options=options)
    return _FOUND if any(entry.faces for entry in ordered) else _NOTHING_FOUND


def _process(own: _Run, entries: dict[str, ImageEntry]) -> None:
    """Do a run; each image's entry is added when it is done."""
    with own.display as progress, closing(own.entries()) as results:
        for entry in results:
            entries[entry.key] = entry
            if entry.message and entry.status != "unsupported":
                progress.note(f"{entry.image}: {entry.message}")
            for face in entry.faces:
                _tell_what_failed(entry, face, progress)
            progress.advance(len(entry.faces))


def write_overview(
    options: InferenceOptions, entries: Sequence[ImageEntry], fingerprint: Fingerprint, outlet: Outlet, seconds: float
) -> None:
    """Write the report and the page over a run's images or videos.

    Raises:
        CommandLineError: If they cannot be written.
    """
    asked, sha256, folder = _json_options(options), fingerprint.checkpoint_sha256, outlet.folder
    try:
        write_report(folder, entries, options=asked, checkpoint_sha256=sha256, seconds=seconds)
        write_gallery_page(folder, entries)
        outlet.send_rest()
    except OSError as error:
        told = f"report and page cannot be written: {describe(error)}; make room and run again with --resume"
        raise CommandLineError(f"--output {options.output}: {told}") from error


def _tell_what_failed(entry: ImageEntry, face: FaceEntry, progress: ProgressDisplay) -> None:
    for stage in face.refinement:
        if not stage.accepted:
            progress.note(f"{entry.image}, {Path(face.folder).name}, {stage.name}: {stage.reason}")


def _json_options(options: InferenceOptions) -> dict[str, object]:
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        # What else there is are files and folders, here or elsewhere.
        return value if value is None or isinstance(value, str | int | float) else str(value)

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
