"""The pipeline with a detector, a model and a writer that are told what to do."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.detection import Detection
from inference.confidence import Signals
from inference.faces import FaceAnswer, FaceRequest
from inference.inputs import InputImage
from inference.jobs import FaceJob
from inference.pipeline import Pipeline
from inference.refining import FacePhotograph, RefinedAnswer
from inference.report import FaceEntry, ImageEntry


class ToldDetector:
    """Finds as many faces as the red value of an image's first pixel says; 255 breaks it."""

    def search_note(self, image_srgb: np.ndarray) -> str:
        return ""

    def detect(self, image_srgb: np.ndarray, *, largest_face: bool = False) -> list[Detection]:
        count = int(image_srgb[0, 0, 0])
        if count == 255:
            raise RuntimeError("told to\nbreak")
        sizes = np.linspace(10, 20, count)
        return [
            Detection(np.array([5, 5, 5 + size, 5 + size], np.float32), np.zeros((5, 2), np.float32), 0.9)
            for size in sizes
        ]


class ToldReconstructor:
    """Notes its batches; `poison` is the blue value of photographs it cannot bear."""

    def __init__(self, poison: int | None = None, signals: Signals | None = None) -> None:
        self.batches: list[int] = []
        self.signals = signals
        self._poison = poison

    def answers(self, requests: Sequence[FaceRequest]) -> list[FaceAnswer]:
        self.batches.append(len(requests))
        if any(int(request.image_srgb[0, 0, 2]) == self._poison for request in requests):
            raise MemoryError
        return [FaceAnswer(request, "head", self.signals) for request in requests]  # pyright: ignore


def write_face(job: FaceJob) -> FaceEntry:
    sure = None if np.isnan(job.confidence) else job.confidence
    folder, box_px = f"{job.item.key}/face{job.index}", (0.0, 0.0, 1.0, 1.0)
    return FaceEntry(folder, box_px, job.detection.score, (0.0, 0.0, 0.0), {}, confidence=sure)


def images(folder: Path, *colours: tuple[int, int, int]) -> list[InputImage]:
    items = []
    for number, colour in enumerate(colours):
        path = folder / f"{number:02d}.png"
        Image.new("RGB", (40, 40), colour).save(path)
        items.append(InputImage(path, path.name))
    return items


def run(items: list[InputImage], write=write_face, reconstructor=None, **options) -> dict[str, ImageEntry]:
    settings = {"batch_size": 4, "largest_face": False, "workers": 2, **options}
    pipeline = Pipeline(ToldDetector(), reconstructor or ToldReconstructor(), write, **settings)  # pyright: ignore
    return {entry.key: entry for entry in pipeline.run(items)}


def test_every_image_gets_its_entry_and_faces_are_batched_across_images(tmp_path: Path) -> None:
    reconstructor = ToldReconstructor()
    entries = run(images(tmp_path, *[(count % 4, 0, 0) for count in range(20)]), reconstructor=reconstructor)
    assert [len(entries[f"{number:02d}.png"].faces) for number in range(20)] == [number % 4 for number in range(20)]
    assert {entry.status for entry in entries.values() if not entry.faces} == {"no_face"}
    assert sum(reconstructor.batches) == 30
    assert max(reconstructor.batches) == 4
    assert len(reconstructor.batches) <= 15


def test_largest_face_keeps_one_and_faces_come_largest_first(tmp_path: Path) -> None:
    widths: list[float] = []

    def write(job: FaceJob) -> FaceEntry:
        widths.append(job.detection.area_px)
        return write_face(job)

    entries = run(images(tmp_path, (5, 0, 0)), write, largest_face=True)
    assert len(entries["00.png"].faces) == 1
    assert widths == [pytest.approx(400.0)]


def test_what_breaks_for_one_file_costs_no_other_its_result(tmp_path: Path) -> None:
    def write(job: FaceJob) -> FaceEntry:
        if job.image_srgb[0, 0, 1] == 7 and job.index == 1:
            raise OSError("no space left")
        return write_face(job)

    items = images(tmp_path, (1, 0, 0), (255, 0, 0), (2, 7, 0), (1, 0, 99), (1, 0, 0))
    (tmp_path / "text.jpg").write_text("no image")
    entries = run([*items, InputImage(tmp_path / "text.jpg", "text.jpg")], write, ToldReconstructor(poison=99))
    statuses = {key: entry.status for key, entry in entries.items()}
    assert statuses == {
        "00.png": "ok",
        "01.png": "failed",
        "02.png": "failed",
        "03.png": "failed",
        "04.png": "ok",
        "text.jpg": "unreadable",
    }
    assert entries["01.png"].message == "RuntimeError: told to break"
    assert entries["02.png"].message == "face1: OSError: no space left"
    assert len(entries["02.png"].faces) == 1
    assert entries["03.png"].message == "face0: MemoryError"


def test_a_face_that_disagrees_with_its_detection_is_doubtful(tmp_path: Path) -> None:
    items = images(tmp_path, (2, 0, 0), (0, 0, 0))
    unlike = Signals(spread_percent=20.0, points_percent=40.0, shift_percent=60.0, score=0.61)
    entries = run(items, write_face, ToldReconstructor(signals=unlike))
    assert entries["00.png"].status == "doubtful"
    assert entries["00.png"].message.startswith("face0 is doubtful: confidence 0.")
    assert "; face1 is doubtful" in entries["00.png"].message
    assert entries["01.png"].status == "no_face"


def test_stages_overlap(tmp_path: Path) -> None:
    """While one face is being written, other images are read: a writer can wait for a later detection."""
    items = images(tmp_path, *[(1, 0, number) for number in range(12)])
    seen_later = threading.Event()

    class WatchedReconstructor(ToldReconstructor):
        def answers(self, requests: Sequence[FaceRequest]) -> list[FaceAnswer]:
            if any(int(request.image_srgb[0, 0, 2]) > 8 for request in requests):
                seen_later.set()
            return super().answers(requests)

    def write(job: FaceJob) -> FaceEntry:
        assert seen_later.wait(10.0)
        return write_face(job)

    entries = run(items, write, WatchedReconstructor())
    assert {entry.status for entry in entries.values()} == {"ok"}


def test_closing_finishes_what_is_being_written_and_leaves_the_rest(tmp_path: Path) -> None:
    started, finished = [], []

    def write(job: FaceJob) -> FaceEntry:
        started.append(job.item.key)
        time.sleep(0.05)
        finished.append(job.item.key)
        return write_face(job)

    items = images(tmp_path, *[(1, 0, 0)] * 40)
    pipeline = Pipeline(
        ToldDetector(),  # pyright: ignore
        ToldReconstructor(),  # pyright: ignore
        write,
        batch_size=4,
        largest_face=False,
        workers=2,
    )
    results = pipeline.run(items)
    next(results)
    results.close()
    assert sorted(started) == sorted(finished)
    assert len(finished) < 40


class ToldRefiner:
    """Notes how many faces it refines at once; breaks for photographs of a green value, and when it is stopped."""

    def __init__(self, poison: int | None = None) -> None:
        self.order: list[str] = []
        self.most_at_once = 0
        self.stopped = threading.Event()
        self._at_once = 0
        self._poison = poison

    def refine(self, photograph: FacePhotograph, reconstruction: object) -> RefinedAnswer:
        if self.stopped.is_set():
            raise RuntimeError("stopped")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(0.005)
        self._at_once -= 1
        if int(photograph.image_srgb[0, 0, 1]) == self._poison:
            raise RuntimeError("no landmarks")
        self.order.append(photograph.path.name)
        return RefinedAnswer("refined head", photograph.intrinsics_px, None)  # pyright: ignore

    def stop(self) -> None:
        self.stopped.set()


def test_faces_are_refined_one_at_a_time_before_they_are_written(tmp_path: Path) -> None:
    written: list[object] = []

    def write(job: FaceJob) -> FaceEntry:
        written.append(job.reconstruction)
        return write_face(job)

    refiner = ToldRefiner()
    entries = run(images(tmp_path, *[(2, 0, 0)] * 6), write, refiner=refiner, workers=3)
    assert {entry.status for entry in entries.values()} == {"ok"}
    assert written == ["refined head"] * 12
    assert refiner.most_at_once == 1


def test_a_face_that_cannot_be_refined_costs_no_other_its_result(tmp_path: Path) -> None:
    entries = run(images(tmp_path, (1, 0, 0), (1, 9, 0), (1, 0, 0)), refiner=ToldRefiner(poison=9))
    assert [entry.status for _, entry in sorted(entries.items())] == ["ok", "failed", "ok"]
    assert entries["01.png"].message == "face0: RuntimeError: no landmarks"


def test_closing_stops_the_refiner_and_writes_what_it_had_finished(tmp_path: Path) -> None:
    written: list[str] = []

    def write(job: FaceJob) -> FaceEntry:
        written.append(job.item.key)
        return write_face(job)

    refiner = ToldRefiner()
    settings = {"batch_size": 4, "largest_face": False, "workers": 2, "refiner": refiner}
    pipeline = Pipeline(ToldDetector(), ToldReconstructor(), write, **settings)  # pyright: ignore
    results = pipeline.run(images(tmp_path, *[(1, 0, 0)] * 40))
    next(results)
    results.close()
    assert refiner.stopped.is_set()
    assert len(refiner.order) < 40
    assert set(written) <= set(refiner.order)


@pytest.mark.slow
def test_photographs_in_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.pipeline._PIXELS_IN_MEMORY", 3 * 40 * 40)
    entries = run(images(tmp_path, *[(2, 0, 0)] * 12), batch_size=16)
    assert sum(len(entry.faces) for entry in entries.values()) == 24
