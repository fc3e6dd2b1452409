"""The run: reading and detection, the network, and writing overlap; faces are batched across photographs.

    reader threads: decode, detect ──> events ──> this thread: batches, network ──> writer threads ──> events
                                                                     └──> one refining thread ──┘

Memory is bounded: so many photographs are under way at once, and so many pixels; one face is refined at a time.
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from common.errors import describe
from data.detection import Detection
from data.detector import FaceDetector
from data.image_io import UnreadableImageError, open_photograph
from inference.budget import PixelBudget
from inference.camera import Cameras, PhotographCamera
from inference.camera_request import CameraError
from inference.confidence import doubts
from inference.faces import FaceRequest, find_faces
from inference.inputs import InputImage
from inference.jobs import FaceJob, FaceReconstructing
from inference.refining import FaceRefining
from inference.report import CameraEntry, FaceEntry, ImageEntry, Status

_PIXELS_IN_MEMORY = 200_000_000
_SECONDS_TO_FILL_A_BATCH = 0.25


@dataclass
class _Progress:
    """One photograph under way; touched by the pipeline's own thread only."""

    item: InputImage
    started: float
    pixels: int = 0
    image_srgb: np.ndarray | None = None
    camera: PhotographCamera | None = None
    detections: Sequence[Detection] = ()
    waiting: int = 0
    faces: dict[int, FaceEntry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class _Read:
    """A photograph was decoded and searched, or could not be."""

    image: _Progress
    status: Status
    message: str = ""


@dataclass(frozen=True)
class _Written:
    """The files of a face were written, or could not be."""

    image: _Progress
    index: int
    entry: FaceEntry | None
    message: str = ""


@dataclass(frozen=True)
class _Pools:
    """The threads of one run."""

    readers: ThreadPoolExecutor
    refiner: ThreadPoolExecutor
    writers: ThreadPoolExecutor


class Pipeline:
    """Carries photographs through reading, detection, the network and writing."""

    def __init__(
        self,
        detector: FaceDetector,
        reconstructor: FaceReconstructing,
        write: Callable[[FaceJob], FaceEntry],
        *,
        batch_size: int,
        largest_face: bool,
        workers: int,
        refiner: FaceRefining | None = None,
        cameras: Cameras | None = None,
    ) -> None:
        """Put the stages together.

        Args:
            detector: Finds faces; called from several threads.
            reconstructor: Reconstructs them; called from one thread.
            write: Writes the files of one face; called from several threads.
            batch_size: Most faces in one batch.
            largest_face: Keep only the largest face of each photograph.
            workers: Threads that read, and threads that write.
            refiner: Refines faces before they are written; called from one thread.
            cameras: Say which camera a photograph has; by default EXIF data, or an assumption.
        """
        self._detector = detector
        self._reconstructor = reconstructor
        self._write = write
        self._batch_size = batch_size
        self._largest_face = largest_face
        self._workers = workers
        self._refiner = refiner
        self._cameras = cameras or Cameras()
        self._events: queue.SimpleQueue[_Read | _Written] = queue.SimpleQueue()
        self._budget = PixelBudget(_PIXELS_IN_MEMORY)

    def run(self, inputs: Sequence[InputImage]) -> Generator[ImageEntry, None, None]:
        """Process the inputs; yields each one's entry when its last file is written, in any order.

        A file that fails costs no other its result. If the generator is closed or interrupted, what is being
        written is finished, and the rest is left; a pipeline that came to the end of its inputs may run again.
        """
        # One face is refined at a time: a stage needs a gigabyte.
        pools = _Pools(
            readers=ThreadPoolExecutor(self._workers, "reader"),
            refiner=ThreadPoolExecutor(1, "refiner"),
            writers=ThreadPoolExecutor(self._workers, "writer"),
        )
        to_the_end = False
        try:
            yield from self._loop(deque(inputs), pools)
            to_the_end = True
        finally:
            if not to_the_end:
                self._budget.close()
                if self._refiner is not None:
                    self._refiner.stop()
            # The writers last, for a refined face goes on to them.
            for pool in (pools.readers, pools.refiner, pools.writers):
                pool.shutdown(wait=True, cancel_futures=True)

    def _loop(self, inputs: deque[InputImage], pools: _Pools) -> Generator[ImageEntry, None, None]:
        # Enough for a whole batch to wait while the readers go on and the writers have work.
        most_under_way = self._batch_size + 4 * self._workers
        under_way, reading = 0, 0
        batch: deque[tuple[_Progress, int]] = deque()
        while inputs or under_way:
            while inputs and under_way < most_under_way:
                pools.readers.submit(self._read, _Progress(inputs.popleft(), time.perf_counter()))
                under_way, reading = under_way + 1, reading + 1
            finished: _Progress | None = None
            status: Status = "ok"
            event = self._next_event(timeout=_SECONDS_TO_FILL_A_BATCH if batch else None)
            if isinstance(event, _Read):
                reading -= 1
                image = event.image
                if event.status == "ok":
                    batch.extend((image, index) for index in range(len(image.detections)))
                else:
                    image.problems.append(event.message)
                    finished, status = image, event.status
            elif isinstance(event, _Written):
                finished, status = self._take_written(event), _status(event.image)
            if finished is not None:
                under_way -= 1
                self._budget.release(finished.pixels)
                yield _entry(finished, status)
            while len(batch) >= self._batch_size or (batch and (event is None or not reading)):
                count = min(self._batch_size, len(batch))
                self._reconstruct([batch.popleft() for _ in range(count)], pools)

    def _next_event(self, timeout: float | None) -> _Read | _Written | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def _read(self, image: _Progress) -> None:
        """In a reader thread: decode and detect."""
        image.started = time.perf_counter()
        try:
            photograph = open_photograph(image.item.path)
            image.pixels = photograph.image_srgb.shape[0] * photograph.image_srgb.shape[1]
            self._budget.acquire(image.pixels)
            image.note = photograph.note
            image.camera = self._cameras.of(photograph, image.item.path)
            detections = find_faces(self._detector, photograph.image_srgb, largest_face=self._largest_face)
            image.image_srgb, image.detections = photograph.image_srgb, detections
            image.note = "; ".join(filter(None, (image.note, self._detector.search_note(photograph.image_srgb))))
        except UnreadableImageError as error:
            # Report, page and terminal put the file's name before the message.
            event = _Read(image, error.status, error.advice)
        except CameraError as error:
            event = _Read(image, "failed", str(error))
        # Whatever happens to one file must not stop the others; the report says what it was.
        except Exception as error:
            event = _Read(image, "failed", describe(error))
        else:
            event = _Read(image, "ok" if detections else "no_face", "" if detections else "no face was found")
        self._events.put(event)

    def _reconstruct(self, batch: list[tuple[_Progress, int]], pools: _Pools) -> None:
        requests = [_request(image, index) for image, index in batch]
        try:
            answers = self._reconstructor.answers(requests)
        except Exception as error:
            if len(batch) > 1:
                # One bad face, or too little memory for all at once: each gets its own try.
                for single in batch:
                    self._reconstruct([single], pools)
                return
            image, index = batch[0]
            self._events.put(_Written(image, index, None, describe(error)))
            return
        for (image, index), answer in zip(batch, answers, strict=True):
            job = FaceJob.of_answer(image.item, index, image.detections[index], answer)
            if self._refiner is None:
                pools.writers.submit(self._write_face, image, job)
            else:
                pools.refiner.submit(self._refine_face, self._refiner, image, job, pools.writers)

    def _refine_face(self, refiner: FaceRefining, image: _Progress, job: FaceJob, writers: ThreadPoolExecutor) -> None:
        """In the refining thread."""
        try:
            job = job.refined_by(refiner)
        except Exception as error:
            self._events.put(_Written(image, job.index, None, describe(error)))
        else:
            writers.submit(self._write_face, image, job)

    def _write_face(self, image: _Progress, job: FaceJob) -> None:
        """In a writer thread."""
        try:
            event = _Written(image, job.index, self._write(job))
        except Exception as error:
            event = _Written(image, job.index, None, describe(error))
        self._events.put(event)

    def _take_written(self, event: _Written) -> _Progress | None:
        """Note a face; the image if that was its last one."""
        image = event.image
        if event.entry is None:
            image.problems.append(f"face{event.index}: {event.message}")
        else:
            image.faces[event.index] = event.entry
        image.waiting += 1
        return image if image.waiting == len(image.detections) else None


def _status(image: _Progress) -> Status:
    """Of an image whose faces were written."""
    if image.problems:
        return "failed"
    return "doubtful" if _doubts(image) else "ok"


def _doubts(image: _Progress) -> str:
    known = {index: face.confidence for index, face in image.faces.items() if face.confidence is not None}
    return doubts(known)


def _request(image: _Progress, index: int) -> FaceRequest:
    assert image.image_srgb is not None
    return FaceRequest.of_detection(image.image_srgb, image.detections[index], image.camera)


def not_done(item: InputImage) -> ImageEntry:
    """The entry of an image that an interrupted run did not reach."""
    return ImageEntry(_name(item), item.key, "not_done", "the run was interrupted; --resume goes on", (), 0.0)


def failed(item: InputImage, message: str) -> ImageEntry:
    """The entry of an image that could not be done for a reason outside of it."""
    return ImageEntry(_name(item), item.key, "failed", message, (), 0.0)


def _name(item: InputImage) -> str:
    # A file's name may be any bytes; the report is text.
    return str(item.path).encode("utf-8", "backslashreplace").decode()


def _camera_entry(camera: PhotographCamera) -> CameraEntry:
    return CameraEntry(camera.source, camera.note, round(float(camera.intrinsics_px[0, 0]), 3))


def _entry(image: _Progress, status: Status) -> ImageEntry:
    return ImageEntry(
        image=_name(image.item),
        key=image.item.key,
        status=status,
        message="; ".join(filter(None, (*image.problems, _doubts(image), image.note))),
        faces=tuple(image.faces[index] for index in sorted(image.faces)),
        seconds=round(time.perf_counter() - image.started, 4),
        camera=None if image.camera is None else _camera_entry(image.camera),
    )
