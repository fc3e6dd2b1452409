"""One run of `infer.py --video`, from its options to its exit code."""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import describe
from common.places import stamp
from data.video_file import UnreadableVideoError, VideoFile
from inference.camera import Cameras
from inference.camera_request import CameraError
from inference.inputs import InputImage
from inference.likeness import Likeness
from inference.options import CommandLineError, InferenceOptions
from inference.outputs import FaceWriter, clear_stale
from inference.pipeline import not_done
from inference.report import ImageEntry, Status, write_json
from inference.resume import Fingerprint, finished_entry, write_record
from inference.run import write_overview
from inference.video import FilmedHead, reconstruct_video
from inference.video_record import VideoRecord
from inference.work import Asked, files_asked, fingerprint_of, load_asked, open_outlet
from model.export.face_files import FaceFiles
from model.export.film import open_film
from model.pictures.film_overlay import FilmOverlay

FILM_NAME, FACTS_NAME = "overlay.mp4", "video.json"
_FRAMES_FOLDER = ".frames"
_SECONDS_BETWEEN_LINES = 10.0
_FOUND, _NOTHING_FOUND = 0, 1


def run_videos(options: InferenceOptions, inputs: Sequence[InputImage]) -> int:
    """Reconstruct the people of all videos, one video after the other.

    Args:
        options: The command line.
        inputs: Its videos.

    Returns:
        0 if at least one video gave a face, 1 if none did.

    Raises:
        CommandLineError: If the command line names what is not there.
        KeyboardInterrupt: After the results so far were reported.
    """
    started = time.perf_counter()
    cameras, likeness, fingerprint = Asked.of(options).cameras, load_asked(options), fingerprint_of(options)
    outlet = open_outlet(options.output)
    files = files_asked(options, likeness.morphable_model)
    try:
        writer = FaceWriter(outlet.folder, files, options.formats, hair_maker=likeness.hair_maker, mesh=options.mesh)
    except OSError as error:
        raise CommandLineError(f"--output {options.output}: cannot be written to: {describe(error)}") from error
    one = _OneVideo(options, outlet.folder, likeness, cameras, files, writer, fingerprint)
    entries: dict[str, ImageEntry] = {}
    try:
        for item in inputs:
            kept = finished_entry(options.output, item, fingerprint) if options.resume else None
            entries[item.key] = kept or one.entry(item)
            if entries[item.key].message:
                print(f"{item.path}: {entries[item.key].message}", file=sys.stderr)
    finally:
        ordered = [entries.get(item.key) or not_done(item) for item in inputs]
        write_overview(options, ordered, fingerprint, outlet, time.perf_counter() - started)
    counts = Counter(entry.status for entry in ordered)
    faces = sum(len(entry.faces) for entry in ordered)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{len(ordered)} videos, {faces} faces ({told})\nopen {options.output / 'index.html'}")
    return _FOUND if faces else _NOTHING_FOUND


class _OneVideo:
    """Carries a video from its file to its folder."""

    def __init__(
        self,
        options: InferenceOptions,
        output: Path,
        likeness: Likeness,
        cameras: Cameras,
        files: FaceFiles,
        writer: FaceWriter,
        fingerprint: Fingerprint,
    ) -> None:
        self._options = options
        self._output = output
        self._likeness = likeness
        self._cameras = cameras
        self._files = files
        self._writer = writer
        self._fingerprint = fingerprint

    def entry(self, item: InputImage) -> ImageEntry:
        """What became of a video; whatever happens to it costs no other its result."""
        started = time.perf_counter()
        entry = ImageEntry(str(item.path), item.key, "failed", "", (), 0.0)
        try:
            entry = self._made(item, entry)
            clear_stale(self._output, entry)
            if entry.status in ("ok", "no_face"):
                write_record(self._output, entry, item.path, self._fingerprint)
        except UnreadableVideoError as error:
            entry = replace(entry, status="unreadable", message=str(error).removeprefix(f"{item.path}: "))
        except CameraError as error:
            entry = replace(entry, message=str(error))
        except Exception as error:
            entry = replace(entry, message=describe(error))
        return replace(entry, seconds=round(time.perf_counter() - started, 4))

    def _made(self, item: InputImage, entry: ImageEntry) -> ImageEntry:
        folder, options, path = self._output / item.key, self._options, Path(str(item.path))
        record = VideoRecord(folder / _FRAMES_FOLDER, self._of(item))
        if not options.resume:
            record.clear()
        told = _Told(path)
        people, video, note = reconstruct_video(
            self._likeness,
            path,
            cameras=self._cameras,
            largest_face=options.largest_face,
            record=record,
            files=self._files,
            tell=told.frames,
        )
        status: Status = "ok" if people else "no_face"
        message = "; ".join(filter(None, (note, "" if people else "no face was found")))
        faces = tuple(self._writer.write_filmed(item.key, number, one) for number, one in enumerate(people))
        folder.mkdir(parents=True, exist_ok=True)
        if people and "overlay" in options.formats:
            write_overlay(video, people, folder / FILM_NAME)
        else:
            (folder / FILM_NAME).unlink(missing_ok=True)
        write_json(folder / FACTS_NAME, _facts(video, people, told.per_second))
        record.clear()
        return replace(entry, status=status, message=message, faces=faces)

    def _of(self, item: InputImage) -> str:
        """What the answers to the frames depend on."""
        options, fingerprint = self._options, self._fingerprint
        parts = (
            fingerprint.checkpoint_sha256,
            fingerprint.camera,
            options.backend,
            options.largest_face,
            options.min_face,
            options.min_score,
            stamp(item.path),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def write_overlay(video: VideoFile, people: Sequence[FilmedHead], path: Path) -> None:
    """Write the video with everybody's geometry and points over it.

    Args:
        video: The file.
        people: Those who are seen in it.
        path: The film.
    """
    result, facts = people[0].head.result, video.facts
    overlay = FilmOverlay(result.faces, result.intrinsics_px)
    rows = [{int(frame): row for row, frame in enumerate(one.track.frame)} for one in people]
    with open_film(path, (facts.width_px, facts.height_px), facts.frames_per_second) as film:
        for frame in video.frames():
            picture = frame.image_srgb.copy()
            here = [(number, rows[number][frame.index]) for number in range(len(people)) if frame.index in rows[number]]
            # The nearest last, for it hides the others.
            for number, row in sorted(here, key=lambda one: people[one[0]].track.translation_mm[one[1], 2]):
                one = people[number]
                overlay.draw(picture, one.vertices_camera_mm(row), one.landmarks68_px[row], number)
            film.write(picture, frame.time_s)


def _facts(video: VideoFile, people: Sequence[FilmedHead], per_second: float | None) -> dict[str, object]:
    """What `video.json` says."""
    facts = video.facts
    return {
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "frames_per_second": round(facts.frames_per_second, 4),
        "processed_frames_per_second": per_second,
        "people": [
            {
                "folder": f"face{number}",
                "frames": len(one.track),
                "first_s": round(float(one.track.time_s[0]), 4),
                "last_s": round(float(one.track.time_s[-1]), 4),
                "best_frame": one.best_frame,
                "smoothing_lag_s": 0.0,
                "smoothing_lag_forwards_s": round(one.smoothing.lag_s, 4),
            }
            for number, one in enumerate(people)
        ],
    }


class _Told:
    """Lines about a video under way, on standard error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[int, float] | None = None
        self._last = time.perf_counter()
        self.per_second: float | None = None

    def frames(self, done: int, of: int) -> None:
        """So many frames are done, of all where the file says how many there are."""
        now = time.perf_counter()
        if self._first is None:
            # The first frame loads and compiles what all others use.
            self._first = (done, now)
            return
        self.per_second = round((done - self._first[0]) / max(now - self._first[1], 1e-6), 2)
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            told = f"{done} of {of} frames" if of else f"{done} frames"
            print(f"{self._path}: {told}, {self.per_second:.1f} frames/s", file=sys.stderr, flush=True)
