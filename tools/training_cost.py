"""Images per second as work grows: loader workers, batch sizes, vertices. Prints tables in Markdown.

    python -m tools.training_cost [CONFIG] [--threads 1] [--rounds 3] [--seconds 10]

The loader's rows are samples that come out of it while nothing else is done, by the wall's clock: measure them on a
quiet machine. The other rows are the training step of `tools.bench_train`, in turns with one another, on a batch that
lies ready, in CPU time. Coarser heads are the released one with its
vertices merged along `hierarchy.safetensors`: right for time, not for faces.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from common.paths import CONFIG_FOLDER
from data.loader import build_loader
from model.face.assets import HeadAssets, LandmarkSet, load_head, save_head
from model.face.hierarchy import HierarchyLevel, load_hierarchy
from tools.bench_train import batch_for, elapsed_ms, training_step, without_start
from training.config import Experiment

_WORKERS = (1, 2, 4)
_BATCHES = (8, 16, 32, 64)
_HEAD_BATCH = 16


def loader_rate(experiment: Experiment, workers: int, seconds: float) -> float:
    """Samples per second of the loader alone, once it runs."""
    config = dataclasses.replace(experiment.train, workers=workers, batch_size=16)
    batches = iter(build_loader(config))
    # What the workers had ready before the clock started must not count.
    for _ in range(4 * workers + 1):
        next(batches)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += len(next(batches)["name"])
    return count / (time.perf_counter() - started)


def step_rates(cases: list[tuple[Experiment, int]], rounds: int) -> list[float]:
    """Images per second of training steps, in turns; each an experiment and a batch size."""
    steps = [training_step(experiment, batch_for(experiment, count)) for experiment, count in cases]
    times = [[elapsed_ms(step) for step in steps] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    return [1000.0 * count / median for (_, count), median in zip(cases, medians, strict=True)]


def merged(head: HeadAssets, level: HierarchyLevel) -> HeadAssets:
    """The head with each vertex merged into its heaviest parent; triangles that become lines or double are dropped."""
    parent = level.parents[np.arange(len(level.parents)), level.weights.argmax(1)]
    corners = parent[head.faces]
    whole = (corners != np.roll(corners, 1, axis=1)).all(1)
    _, first = np.unique(np.sort(corners[whole], axis=1), axis=0, return_index=True)
    kept = np.flatnonzero(whole)[np.sort(first)]
    faces = corners[kept].astype(np.int32)
    landmarks = {}
    for name, points in head.landmarks.items():
        nearest = parent[head.faces[points.face, points.barycentric.argmax(1)]]
        face = [int((faces == vertex).any(1).argmax()) for vertex in nearest]
        landmarks[name] = LandmarkSet(np.array(face, np.int32), points.barycentric)
    vertices = level.vertices
    return HeadAssets(
        vertices_mm=head.vertices_mm[vertices],
        faces=faces,
        uv=head.uv,
        uv_faces=head.uv_faces[kept],
        identity_basis=head.identity_basis[:, vertices],
        expression_basis=head.expression_basis[:, vertices],
        expression_names=head.expression_names,
        albedo_mean=head.albedo_mean[vertices],
        albedo_basis=head.albedo_basis[:, vertices],
        mirror=parent[head.mirror[vertices]].astype(np.int32),
        landmarks=landmarks,
        regions={name: region[vertices] for name, region in head.regions.items()},
    )


def _table(title: str, names: list[str], rates: list[float]) -> None:
    print(f"\n| {title} | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    print(f"| images per second | {' | '.join(f'{rate:.1f}' for rate in rates)} |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = CONFIG_FOLDER / "likeness_s_shape.yaml"
    parser.add_argument("config", type=Path, nargs="?", default=default)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row of the loader")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    experiment = without_start(options.config)
    print(f"{options.config.stem}, {experiment.image_size} px, {options.threads} torch threads")
    _table(
        "loader workers", [str(w) for w in _WORKERS], [loader_rate(experiment, w, options.seconds) for w in _WORKERS]
    )
    _table("batch size", [str(b) for b in _BATCHES], step_rates([(experiment, b) for b in _BATCHES], options.rounds))
    heads = [load_head(experiment.head)]
    for level in load_hierarchy(experiment.hierarchy).levels[:2]:
        heads.append(merged(heads[-1], level))
    with tempfile.TemporaryDirectory() as folder:
        cases = []
        for number, head in enumerate(heads):
            path = Path(folder) / f"head-{number}.safetensors"
            save_head(head, path)
            cases.append((dataclasses.replace(experiment, head=path), _HEAD_BATCH))
        rates = step_rates(cases, options.rounds)
    _table(f"vertices, batch of {_HEAD_BATCH}", [str(len(head.vertices_mm)) for head in heads], rates)


if __name__ == "__main__":
    main()
