"""What a refinement is worth on photographs, and what it costs.

    python -m tools.bench_refine --photographs DIR [--window 256] [--refine-config F] [--sheet sheet.png] [--count N]

For the largest face of each photograph: how well the network's answer, the raster fit and the ray-traced answer
explain the photograph, what became of the last stage, and seconds and processor seconds of each stage. There is no
truth in a photograph: a high figure does not make an albedo right, so look at the sheet.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

# As infer.py does: before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from jaxtyping import UInt8

from common.paths import DEFAULT_CHECKPOINT, DEFAULT_REFINE_CONFIG
from data.image_io import UnreadableImageError, find_images, read_photograph
from inference.faces import FaceRequest
from inference.likeness import Likeness
from inference.options import Device
from inference.refine import Refiner
from inference.refine_options import RefineOptions
from inference.refine_request import RefineRequest
from inference.refine_setup import build_stages, landmark_finder, load_options
from inference.refining import FacePhotograph
from inference.setup import load_likeness
from inference.transport_cache import TransportCache
from model.face.morphable_model import MorphableModel
from model.pictures.before_after import draw_before_after
from model.pictures.relit import draw_relit
from model.reconstructor import Reconstruction
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.refined import RefinedFace, Stage, StageAnswer
from tools.refinement_psnr import psnr_figures

_STAGES = ("landmarks", "raster", "raytrace", "pictures")
_PARTS = {"tracing": "trace_seconds", "optimising": "optimisation_seconds"}
"""Of the ray-traced stage's seconds, and the figures of its record."""
_NAME_PX = 22


@dataclass
class StageClock:
    """Wall and processor seconds of the stages of one face, and what each of them answered."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    answers: dict[str, StageAnswer] = field(default_factory=dict)

    def around(self, name: str, stage: Stage) -> Stage:
        """The stage, with its time and its answer noted."""

        def timed(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                answer, record = stage(crop, start)
                self.answers[name] = answer
                return answer, record
            finally:
                self.seconds[name] = time.perf_counter() - wall
                self.cpu_seconds[name] = time.process_time() - cpu

        return timed


@dataclass(frozen=True)
class Measured:
    """One face: the answers, and the line about it."""

    name: str
    refined: RefinedFace
    figures: dict[str, float]
    fate: str


class Bench:
    """Refines faces as `infer.py --refine raytrace` does, and measures them."""

    def __init__(
        self, likeness: Likeness, request: RefineRequest, options: RefineOptions, cache: TransportCache
    ) -> None:
        """Build the stages once, for all faces."""
        self._likeness, self._options = likeness, options
        self.model: MorphableModel = likeness.morphable_model
        self._stages = build_stages(request, options, self.model, cache)
        self._find_landmarks = landmark_finder(request)

    def measure(self, path: Path) -> Measured | str:
        """The largest face of a photograph, or why there is none."""
        try:
            found = self._found(path)
        except UnreadableImageError as error:
            return str(error)
        if found is None:
            return "no face was found"
        clock = StageClock()
        refiner = Refiner(
            self.model,
            {name: clock.around(name, stage) for name, stage in self._stages.items()},
            self._find_landmarks,
            size_px=self._options.window_px,
            device=self._likeness.device,
        )
        refined = refiner.refine(*found).refined
        figures = psnr_figures(refined, clock.answers, self.model)
        last = refined.records[-1]
        for name in clock.seconds:
            figures[f"{name} s"], figures[f"{name} cpu s"] = clock.seconds[name], clock.cpu_seconds[name]
        for part, figure in _PARTS.items():
            figures[f"{part} s"] = last.figures.get(figure, float("nan"))
        return Measured(path.stem, refined, figures, "accepted" if last.accepted else last.reason)

    def picture(self, face: Measured) -> tuple[UInt8[np.ndarray, "height width 3"], dict[str, float]]:
        """The face's row of the sheet: the pictures that infer.py writes, side by side; and what they cost."""
        wall, cpu = time.perf_counter(), time.process_time()
        tiles = [draw_before_after(face.refined, self.model)]
        if face.refined.raytraced is not None:
            size_px = face.refined.crop.size_px
            tiles.append(draw_relit(face.refined, face.refined.raytraced, self.model, size_px))
        spent = {"pictures s": time.perf_counter() - wall, "pictures cpu s": time.process_time() - cpu}
        row = np.concatenate(tiles, axis=1)
        title = np.full((_NAME_PX, row.shape[1], 3), 255, np.uint8)
        text = f"{face.name}: {_decibels(face.figures)}; {face.fate}"
        cv2.putText(title, text, (4, _NAME_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        return np.concatenate((title, row)), spent

    def _found(self, path: Path) -> tuple[FacePhotograph, Reconstruction] | None:
        image = read_photograph(path)
        detections = self._likeness.detector.detect(image)
        if not detections:
            return None
        largest = max(detections, key=lambda detection: detection.area_px)
        request = FaceRequest.of_detection(image, largest)
        (reconstruction,) = self._likeness.faces.reconstruct([request])
        return FacePhotograph(image, request.intrinsics_px, largest, path, path.name), reconstruction


def _decibels(figures: dict[str, float]) -> str:
    weighted = [f"{name} {figures[name]:.1f}" for name in ("network", "raster", "raytrace") if name in figures]
    return ", ".join(weighted) + " dB" if weighted else ""


def print_row(name: str, figures: dict[str, float], fate: str) -> None:
    """One face's line."""
    values = "".join(f"{figures.get(column, float('nan')):>11.2f}" for column in _columns())
    print(f"{name[:23]:<24}{values}  {fate}", flush=True)


def print_heading() -> None:
    """The names of the columns, in two lines."""
    words = [column.split(" ", 1) for column in _columns()]
    for line in range(2):
        print(" " * 24 + "".join(f"{(word[line] if line < len(word) else ''):>11}" for word in words))


def _columns() -> list[str]:
    answers = ("network", "raster", "raytrace")
    decibels = [*answers, *(f"{name} skin" for name in answers)]
    times = [f"{stage} {unit}" for stage in _STAGES for unit in ("s", "cpu s")]
    return [*decibels, *times, *(f"{part} s" for part in _PARTS)]


def print_summary(rows: Sequence[dict[str, float]], accepted: int) -> None:
    """Means over the faces that have the figure, gains with their spread, and the memory."""
    if rows:
        known = {column: [row[column] for row in rows if np.isfinite(row.get(column, np.nan))] for column in _columns()}
        print_row("mean", {column: statistics.fmean(values) for column, values in known.items() if values}, "")
        for before in ("network", "raster"):
            gains = [row["raytrace"] - row[before] for row in rows if "raytrace" in row and before in row]
            if gains:
                spread = statistics.stdev(gains) if len(gains) > 1 else float("nan")
                print(
                    f"gain over {before}: {statistics.fmean(gains):+.2f} dB, standard deviation {spread:.2f}, "
                    f"least {min(gains):+.2f}, most {max(gains):+.2f}, {len(gains)} faces"
                )
        print(f"{accepted} of {len(rows)} accepted")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory {peak / 1e9:.2f} GB")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="What a refinement is worth on photographs, and what it costs.")
    parser.add_argument("--photographs", type=Path, required=True, nargs="+", help="photographs or folders of them")
    parser.add_argument("--window", type=int, help="side of the window, px; the config's if left out")
    parser.add_argument("--refine-config", type=Path, default=DEFAULT_REFINE_CONFIG, help="settings of the stages")
    parser.add_argument("--sheet", type=Path, help="where to write a picture with a row for each face")
    parser.add_argument("--count", type=int, help="how many photographs; all if left out")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT)
    parser.add_argument("--device", choices=get_args(Device), default="cpu")
    parser.add_argument("--cache", type=Path, help="folder for traced tables; without it every face is traced")
    chosen = parser.parse_args(arguments)
    missing = [str(path) for path in chosen.photographs if not path.exists()]
    if missing:
        parser.error(f"--photographs {' '.join(missing)}: no such file or folder")
    request = RefineRequest(level="raytrace", config=chosen.refine_config)
    options = load_options(request)
    if chosen.window is not None:
        options = replace(options, window_px=chosen.window)
    cache = TransportCache(chosen.cache, options.cache_gb)
    bench = Bench(load_likeness(chosen.checkpoint, chosen.device), request, options, cache)
    run(bench, find_images(list[Path](chosen.photographs))[: chosen.count], chosen.sheet)


def run(bench: Bench, paths: Sequence[Path], sheet: Path | None) -> None:
    """Print the table and write the sheet, again after each face."""
    rows: list[dict[str, float]] = []
    pictures: list[UInt8[np.ndarray, "height width 3"]] = []
    accepted = 0
    print_heading()
    for path in paths:
        face = bench.measure(path)
        if isinstance(face, str):
            print(f"{path.stem[:23]:<24}{face}", flush=True)
            continue
        figures = face.figures
        if sheet is not None:
            picture, spent = bench.picture(face)
            pictures.append(picture)
            figures |= spent
            _write_sheet(pictures, sheet)
        print_row(face.name, figures, face.fate)
        rows.append(figures)
        accepted += face.fate == "accepted"
    print_summary(rows, accepted)


def _write_sheet(pictures: Sequence[UInt8[np.ndarray, "height width 3"]], path: Path) -> None:
    width = max(picture.shape[1] for picture in pictures)
    rows = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
