"""All that can only be checked on a GPU machine, in one command; prints a block for docs/log.md.

    python -m tools.gpu_check [--config configs/resnet50_224.yaml] [--batch 128] [--device cuda] [--rounds 5]

Environment; the rasterizers' parity with the CPU's and the tests that need a GPU; the time of drawing; training
throughput over that of the bare backbone in the config's precision, by rasterizer. Builds and downloads nothing, and
takes noise for photographs where there are no shards. Minutes.
"""

import argparse
import importlib.metadata
import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor

from common.paths import CONFIG_FOLDER, REPOSITORY
from common.tensor_groups import map_tensors
from model.render.nvdiffrast_rasterizer import NvdiffrastRasterizer
from model.render.pytorch.rasterizer import TorchRasterizer
from model.render.rasterizer import Rasterizer
from tools.bench_train import bare_step, batch_for, training_step, without_start
from tools.render_parity import POSES_DEGREES, SIZES, Parity, compare, draw, head_scene, photometric_loss
from tools.timing import in_turns
from training.config import Experiment

GPU_TESTS = ("tests/model/render/test_nvdiffrast_parity.py",)
"""Test files with tests that skip where there is no GPU."""

_STEPS_PER_ROUND = 5


def rasterizers(device: torch.device) -> dict[str, Rasterizer]:
    """Those that can draw on a device, by a name for the tables."""
    found: dict[str, Rasterizer] = {"torch": TorchRasterizer()}
    if device.type == "cuda" and importlib.util.find_spec("nvdiffrast") is not None:
        found["nvdiffrast"] = NvdiffrastRasterizer()
        found["nvdiffrast, own antialiasing"] = NvdiffrastRasterizer(antialias="nvdiffrast")
    return found


def environment(device: torch.device) -> list[str]:
    """Lines about machine and packages."""
    lines = [f"- torch {torch.__version__}, CUDA {torch.version.cuda}, Python {sys.version.split()[0]}"]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory_gb = properties.total_memory / 2**30
        lines.append(
            f"- {properties.name}, {memory_gb:.0f} GB, compute capability {properties.major}.{properties.minor}"
        )
    try:
        lines.append(f"- nvdiffrast {importlib.metadata.version('nvdiffrast')}")
    except importlib.metadata.PackageNotFoundError:
        lines.append("- nvdiffrast is not installed: its rows are missing (docs/gpu.md)")
    return lines


def parity_table(device: torch.device) -> list[str]:
    """How each rasterizer compares with the CPU's, scene by scene."""
    names = [field.name for field in fields(Parity)]
    lines = [f"| rasterizer | picture | yaw | {' | '.join(names)} |", "|---|---|---|" + "---|" * len(names)]
    for name, rasterizer in rasterizers(device).items():
        for height, width in SIZES:
            for pose in POSES_DEGREES:
                parity = compare(rasterizer, device, head_scene(height, width, pose))
                values = " | ".join(f"{getattr(parity, field):.4f}" for field in names)
                lines.append(f"| {name} | {height} x {width} | {pose[0]:.0f} | {values} |")
    return lines


def drawing_table(device: torch.device, size: int, batch: int, rounds: int) -> list[str]:
    """Milliseconds to draw a batch of heads, and to carry a loss back to their vertices."""
    lines = [f"| {batch} heads at {size} px | forward, ms | forward and backward, ms |", "|---|---|---|"]
    one = head_scene(size, size, POSES_DEGREES[1])
    # Triangles and rotation have no axis for the batch.
    many = map_tensors(one, lambda values: values if values.ndim == 2 else values.expand(batch, *values.shape[1:]))
    scene = many.to(device)
    weights = torch.ones(batch, size, size, device=device)
    for name, rasterizer in rasterizers(device).items():

        def forward(rasterizer: Rasterizer = rasterizer) -> Tensor:
            vertices = scene.vertices_camera_mm.detach().clone().requires_grad_()
            leaf = replace(scene, vertices_camera_mm=vertices)
            return photometric_loss(draw(rasterizer, leaf), leaf, weights)

        times = _in_turns([forward, lambda run=forward: run().backward()], device, rounds)
        lines.append(f"| {name} | " + " | ".join(f"{statistics.median(column):.1f}" for column in times) + " |")
    return lines


def training_table(experiment: Experiment, device: torch.device, batch: int, rounds: int) -> list[str]:
    """Images per second of training with each rasterizer, and over those of the bare backbone, measured in turns."""
    drawn = batch_for(experiment, batch)
    samples = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in drawn.items()}
    steps = {"bare backbone": bare_step(experiment, samples, device)}
    for name, rasterizer in rasterizers(device).items():
        steps[f"training, {name}"] = training_step(experiment, samples, device, rasterizer)
    times = _in_turns(list(steps.values()), device, rounds)
    lines = [
        f"| batch {batch}, {experiment.trainer.precision} | images/s | over the bare backbone's |",
        "|---|---|---|",
    ]
    for name, column in zip(steps, times, strict=True):
        ratio = statistics.median(bare / own for bare, own in zip(times[0], column, strict=True))
        lines.append(f"| {name} | {1000.0 * batch / statistics.median(column):.0f} | {ratio:.2f} |")
    return lines


def _in_turns(steps: list[Callable[[], object]], device: torch.device, rounds: int) -> list[list[float]]:
    return in_turns(steps, rounds, device=str(device), repeats=_STEPS_PER_ROUND)


def run_tests() -> list[str]:
    """The tests that need a GPU, as pytest closes them."""
    command = [sys.executable, "-m", "pytest", "-rs", *GPU_TESTS]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return [line for line in finished.stdout.splitlines() if line.strip()][-8:]


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG_FOLDER / "resnet50_224.yaml")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cuda", help="cpu tries the program out")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device here; --device cpu only tries the program out")
    device, experiment = torch.device(options.device), without_start(options.config)
    sections: dict[str, Callable[[], list[str]]] = {
        "Environment": lambda: environment(device),
        "Tests": lambda: ["```", *run_tests(), "```"],
        "Parity with the CPU rasterizer": lambda: parity_table(device),
        "Drawing": lambda: drawing_table(device, experiment.image_size, min(options.batch, 64), options.rounds),
        f"Training, {options.config.stem}": lambda: training_table(experiment, device, options.batch, options.rounds),
    }
    for title, lines in sections.items():
        print(f"\n### {title}\n\n" + "\n".join(lines()), flush=True)


if __name__ == "__main__":
    main()
