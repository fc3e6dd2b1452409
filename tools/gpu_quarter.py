"""A quarter of an hour on a GPU machine, in one command: check, draw heads, train by the clock, leave what comes back.

    python -m tools.gpu_quarter --data runs/gpu --output OUT --minutes 9
    python -m tools.gpu_quarter --data runs/gpu --output OUT --minutes 2 --device cpu        # rehearsal
        [--experiment configs/likeness_l.yaml] [--work runs/gpu-quarter] [--checks_seconds 100] [--heads 20000]

`--data` is what `tools.pack_for_gpu` wrote. In OUT: `report.md`, written on with every step; `gpu_check.md`, what
`tools.gpu_check` said in its time; `metrics.csv`; `sheet.png`; and the release in pieces of at most 15 MiB, which
`tools.join_pieces` puts together, anew with every validation: whatever stops the run, what there is so far is there.
The minutes are those of the whole command but for Python's start, some 15 s, and the cosine of the learning rate ends
with them.
"""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from common.atomic import atomic_path
from common.paths import CONFIG_FOLDER, REPOSITORY
from common.tensors import open_tensors
from data.shards import list_shards
from model.checkpoint import file_sha256, save_checkpoint
from model.reconstructor import Reconstructor
from tools.command import run_tool
from tools.join_pieces import pack_release
from tools.pack_for_gpu import BACKBONE_NAME, PACK_NAME, SKINS_NAME, START_NAME, unpack_shard
from train import build_reconstructor, read_experiment
from training.config import Experiment
from training.ema import WeightAverage
from training.module import TrainingModule
from training.photographs import Photographs
from training.trainer import build_trainer

NAME = "likeness-l"
_STEPS_NEVER_REACHED = 10**7
"""The clock ends the run, not this."""
_BATCHES_UNTIL_THE_CLOCK_IS_KNOWN = 3


@dataclass
class Report:
    """What has happened, in a file that is whole at any time.

    Attributes:
        path: The file.
        lines: So far.
        began: On the monotonic clock.
    """

    path: Path
    lines: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def add(self, text: str) -> None:
        """A line with the time, printed and kept."""
        line = f"- {self.seconds:5.0f} s: {text}"
        print(line, flush=True)
        self.lines.append(line)
        with atomic_path(self.path) as temporary:
            temporary.write_text("# A quarter of an hour\n\n" + "\n".join(self.lines) + "\n", encoding="utf-8")


class ClockedModule(TrainingModule):
    """Training whose learning rate falls with the clock: after a warm-up in steps, a cosine that ends on time."""

    def __init__(self, experiment: Experiment, reconstructor: Reconstructor, ends: float) -> None:
        """Take the run, the model, and when it ends on the monotonic clock."""
        super().__init__(experiment, reconstructor)
        self._ends = ends
        self._cosine_began: float | None = None

    def _rate_factor(self, step: int) -> float:
        if step < self.experiment.optimizer.warmup_steps:
            return super()._rate_factor(step)
        now = time.monotonic()
        if self._cosine_began is None:
            self._cosine_began = now
        progress = (now - self._cosine_began) / max(self._ends - self._cosine_began, 1e-3)
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


class TrainingClock(Callback):
    """Ends training in time, and leaves a release with each validation, the last one included."""

    def __init__(self, experiment: Experiment, settings: dict[str, Any], output: Path, report: Report, ends: float):
        """Take the run, its config for the release, where the release goes, and when training ends."""
        self._experiment, self._settings, self._output = experiment, settings, output
        self._report, self._ends = report, ends
        self._first: float | None = None
        self.steps_per_second = 0.0
        self.released_step = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how fast it is once it is known, and stop when the time is over."""
        now, step = time.monotonic(), trainer.global_step
        if step == _BATCHES_UNTIL_THE_CLOCK_IS_KNOWN:
            self._first = now
        if self._first is not None and step > _BATCHES_UNTIL_THE_CLOCK_IS_KNOWN:
            self.steps_per_second = (step - _BATCHES_UNTIL_THE_CLOCK_IS_KNOWN) / (now - self._first)
            if step == 4 * _BATCHES_UNTIL_THE_CLOCK_IS_KNOWN or step % 500 == 0:
                self._report.add(f"step {step}, {self.speed()}")
        if now >= self._ends:
            trainer.should_stop = True

    def speed(self) -> str:
        """Steps and photographs a second."""
        images = self.steps_per_second * self._experiment.train.batch_size
        drawn = self.steps_per_second * self._experiment.synthetic.batch_size
        return f"{self.steps_per_second:.2f} steps, {images:.0f} photographs and {drawn:.0f} drawn heads a second"

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The moving average stands in the weights during a validation: that is what a release is."""
        self.release(pl_module, trainer.global_step)

    def release(self, module: LightningModule, steps: int) -> None:
        """Write the release and its pieces, with the numbers so far; weights that are lost replace nothing."""
        reconstructor = module.reconstructor
        assert isinstance(reconstructor, Reconstructor)
        if not all(bool(v.isfinite().all()) for v in reconstructor.state_dict().values() if v.is_floating_point()):
            self._report.add(f"the weights of step {steps} are not finite; the release before it stays")
            return
        folder = self._experiment.output / "release"
        provenance = {"config": self._settings, "steps": steps, "seconds": round(self._report.seconds)}
        head, hierarchy = self._experiment.head, self._experiment.hierarchy
        save_checkpoint(reconstructor, head, folder, provenance, hierarchy_path=hierarchy)
        pieces = pack_release(folder, self._output, NAME)
        self.released_step = steps
        self.copy_numbers()
        self._report.add(f"release of step {steps} in {len(pieces)} piece{'s' if len(pieces) > 1 else ''}")

    def copy_numbers(self) -> None:
        """The log and the last sheet, as they are now."""
        run = self._experiment.output
        sheets = sorted((run / "sheets").glob("*.png"))
        for source, name in ((run / "metrics.csv", "metrics.csv"), *((sheet, "sheet.png") for sheet in sheets[-1:])):
            if source.is_file():
                with atomic_path(self._output / name) as temporary:
                    shutil.copyfile(source, temporary)


def gpu_quarter(
    data: Path,
    output: Path,
    minutes: float = 9.0,
    experiment: Path = CONFIG_FOLDER / "likeness_l.yaml",
    work: Path = REPOSITORY / "runs" / "gpu-quarter",
    device: str = "cuda",
    checks_seconds: float = 100.0,
    drawing_seconds: float = 90.0,
    heads: int = 20_000,
    reserve_seconds: float = 25.0,
) -> None:
    """Check, draw, train, leave what comes back.

    Args:
        data: What `tools.pack_for_gpu` wrote.
        output: What comes back: at most eight small files.
        minutes: Of the whole command, once everything is imported.
        experiment: Config of the run.
        work: What need not come back: unpacked shards, drawn heads, the run's folder.
        device: `cuda`, or `cpu` for a rehearsal.
        checks_seconds: For `tools.gpu_check`, at most a quarter of the minutes; 0 leaves it out. Heads are drawn at the
            same time.
        drawing_seconds: For drawing heads, where the data hold no bank that fits, at most a quarter of the minutes;
            what is drawn by then is used.
        heads: How many to draw.
        reserve_seconds: Of the minutes, for the last validation and the release.

    Raises:
        FileNotFoundError: If the data or a part of them is not there.
        FileExistsError: If `work` holds a run already.
        ValueError: If an option cannot be, there is no CUDA, or no time is left to train in.
    """
    _refuse_what_cannot_run(data, work, device, minutes, (heads, checks_seconds, drawing_seconds, reserve_seconds))
    # In a rehearsal of two minutes as well something must be left to train.
    checks_seconds, drawing_seconds = (min(limit, 15.0 * minutes) for limit in (checks_seconds, drawing_seconds))
    report = _begin(output, work, device, experiment.name)
    drawing: subprocess.Popen[bytes] | None = None
    try:
        wanted = _wanted(experiment, work)
        _refuse_another_backbone(data / START_NAME, wanted)
        _unpack_shards(data / "shards", work / "shards", report)
        bank = _carried_bank(data / "drawn", wanted, report) if wanted.synthetic.batch_size else None
        if bank is None and wanted.synthetic.batch_size and heads:
            drawing = _start_drawing(work, wanted, data / SKINS_NAME, heads)
        started = time.monotonic()
        if checks_seconds > 0.0:
            _check(experiment, device, output / "gpu_check.md", checks_seconds, report)
        if drawing is not None:
            _wait(drawing, started + drawing_seconds - time.monotonic())
            bank = _drawn_bank(work / "drawn", report)
        used, settings = read_on_this_machine(data, work, experiment, device, bank)
        train_by_the_clock(used, settings, output, report, report.began + 60.0 * minutes - reserve_seconds)
    except BaseException as error:
        report.add(f"stopped by {type(error).__name__}: {error}; what was written before stays")
        raise
    finally:
        if drawing is not None:
            _wait(drawing, 0.0)
    report.add("done")


def _begin(output: Path, work: Path, device: str, config: str) -> Report:
    output.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    report = Report(output / "report.md")
    report.add(f"torch {torch.__version__} on {_device_name(device)}, {_cores()} cores; config {config}")
    return report


def _refuse_what_cannot_run(data: Path, work: Path, device: str, minutes: float, numbers: tuple[float, ...]) -> None:
    if minutes <= 0.0 or min(numbers) < 0.0:
        raise ValueError("--minutes must be more than 0; --heads and the seconds at least 0")
    if device not in {"cuda", "cpu"}:
        raise ValueError(f"--device {device}: expected cuda, or cpu for a rehearsal")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device here; --device cpu rehearses the command")
    if not (data / PACK_NAME).is_file():
        raise FileNotFoundError(f"{data / PACK_NAME}: missing; {data} is not what tools.pack_for_gpu writes")
    if (work / "run").exists():
        raise FileExistsError(f"{work / 'run'}: holds a run already; remove it or name another --work")


def _wanted(config: Path, work: Path) -> Experiment:
    return read_experiment(["--config", str(config), "--output", str(work / "run")])[0]


def read_on_this_machine(
    data: Path, work: Path, config: Path, device: str, bank: Path | None
) -> tuple[Experiment, dict[str, Any]]:
    """The config's run with these data and this machine's cores, and the same as plain values.

    Args:
        data: What `tools.pack_for_gpu` wrote.
        work: Holds the unpacked shards.
        config: The run.
        device: `cuda` or `cpu`.
        bank: Drawn heads; without any training goes without them, since drawing on the spot would make the device wait.
    """
    wanted = _wanted(config, work)
    free = max(_cores() - 1, 0)
    drawing = min(wanted.synthetic.workers, free // 4) if bank is not None else 0
    backbone, start = data / BACKBONE_NAME, data / START_NAME
    options = {
        "output": work / "run",
        "train.shards": work / "shards" / "train",
        "train.workers": min(wanted.train.workers, free - drawing),
        "validation.shards": work / "shards" / "val",
        "synthetic.bank": "null" if bank is None else bank,
        "synthetic.workers": drawing,
        "synthetic.batch_size": 0 if bank is None else wanted.synthetic.batch_size,
        "encoder.pretrained": backbone if backbone.is_file() else "none",
        "start_from": start if start.is_dir() else "null",
        "trainer.accelerator": "gpu" if device == "cuda" else "cpu",
        "schedule.max_steps": _STEPS_NEVER_REACHED,
    }
    arguments = ["--config", str(config), *(f"--{name}={value}" for name, value in options.items())]
    experiment, resolved, _ = read_experiment(arguments)
    return experiment, yaml.safe_load(resolved.replace(f"{REPOSITORY}{os.sep}", ""))


def train_by_the_clock(
    experiment: Experiment, settings: dict[str, Any], output: Path, report: Report, ends: float
) -> None:
    """Train until a time on the monotonic clock; the release of any end but a hard one is the moving average.

    Args:
        experiment: The run.
        settings: The same as plain values, for the release.
        output: Where the release goes.
        report: What is told.
        ends: The time.

    Raises:
        ValueError: If it is over.
    """
    if time.monotonic() >= ends:
        raise ValueError("no time is left to train in: raise --minutes, or lower --checks_seconds or --drawing_seconds")
    # As in `train.run`: what only Lightning's authors can change.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)")
    # All batches are of one size.
    torch.backends.cudnn.benchmark = True
    lightning.seed_everything(experiment.seed, workers=True)
    experiment.output.mkdir(parents=True)
    photographs = Photographs(experiment.train, experiment.validation)
    module = ClockedModule(experiment, build_reconstructor(experiment), ends)
    if experiment.encoder.pretrained == "none" and not experiment.starts:
        report.add("the data hold no starting weights: training begins from random ones")
    average = WeightAverage(experiment.schedule.average_decay)
    clock = TrainingClock(experiment, settings, output, report, ends)
    trainer = build_trainer(experiment, average, photographs, settings)
    trainer.callbacks.append(clock)  # pyright: ignore[reportAttributeAccessIssue]
    report.add(f"training begins, for {ends - time.monotonic():.0f} s; {experiment.train.workers} loaders")
    try:
        trainer.fit(module, datamodule=photographs)
    finally:
        # After a failure too; a device that is lost fails here once more, and the release before it stays.
        if average.average and trainer.global_step > clock.released_step:
            with suppress(RuntimeError):
                average.copy_to(module)
                clock.release(module, trainer.global_step)
    clock.copy_numbers()
    values = ", ".join(f"{name} {_last(experiment.output / 'metrics.csv', name)}" for name in ("val/nme", "train/loss"))
    report.add(f"step {trainer.global_step}, {clock.speed()}; at last {values}")


def _last(path: Path, column: str) -> str:
    """The last value of a column of the log."""
    if not path.is_file():
        return "not logged"
    with path.open(encoding="utf-8", newline="") as file:
        values = [row[column] for row in csv.DictReader(file) if row.get(column)]
    return f"{float(values[-1]):.3f}" if values else "not logged"


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "the CPU"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse_another_backbone(start: Path, experiment: Experiment) -> None:
    """Layers of one backbone that happen to fit another would be a worse start than none."""
    path = start / "config.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))["encoder"]["backbone"]
        if found != experiment.encoder.backbone:
            raise ValueError(
                f"{path}: starting weights of {found}, and the config trains {experiment.encoder.backbone}; "
                "pack without --start, or name a config of that backbone"
            )


def _unpack_shards(packed: Path, folder: Path, report: Report) -> None:
    """Plain tars: unpacking them once costs less than in each of hundreds of passes."""
    shutil.rmtree(folder, ignore_errors=True)
    jobs: list[tuple[Path, Path]] = []
    for part in ("train", "val"):
        (folder / part).mkdir(parents=True)
        jobs += [(path, folder / part / path.name) for path in list_shards(packed / part)]
    with ThreadPoolExecutor(_cores()) as pool:
        for _ in pool.map(lambda job: unpack_shard(*job), jobs):
            pass
    report.add(f"{len(jobs)} shards unpacked")


def _carried_bank(folder: Path, experiment: Experiment, report: Report) -> Path | None:
    """The data's bank of drawn heads, if it is of this run's crops and head."""
    paths = sorted(folder.glob("heads-*.safetensors"))
    if not paths:
        return None
    file, metadata = open_tensors(paths[0])
    size, head = file.get_slice("image").get_shape()[-1], metadata.get("head_sha256")
    if size != experiment.image_size or head != file_sha256(experiment.head):
        report.add(f"{folder}: drawn heads of {size} px do not fit this run ({experiment.image_size} px) or its head")
        return None
    return folder


def _start_drawing(work: Path, experiment: Experiment, skins: Path, heads: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.draw_heads", "--output", str(work / "drawn"), "--count", str(heads)]
    command += ["--head", str(experiment.head), "--hierarchy", str(experiment.hierarchy)]
    command += ["--size", str(experiment.image_size), "--workers", str(max(_cores() - 2, 1))]
    if skins.is_file():
        command += ["--skins", str(skins)]
    return _start(command, work / "draw.log")


def _drawn_bank(folder: Path, report: Report) -> Path | None:
    """What was drawn in time; files appear when they are whole."""
    count = 0
    for path in folder.glob("heads-*.safetensors"):
        count += open_tensors(path)[0].get_slice("color").get_shape()[0]
    report.add(f"{count} heads drawn" if count else "no heads were drawn in time (draw.log): training goes without")
    return folder if count else None


def _check(config: Path, device: str, path: Path, seconds: float, report: Report) -> None:
    """What `tools.gpu_check` finds in its time; nothing that it finds keeps training from going on.

    It runs while heads are drawn: one needs the device, the other the cores.
    """
    batch = ["--batch", "128" if device == "cuda" else "4"]
    command = [sys.executable, "-m", "tools.gpu_check", "--config", str(config), "--device", device, "--rounds", "2"]
    code = _wait(_start([*command, *batch], path), seconds)
    end = f"was cut off after {seconds:.0f} s" if code is None else f"ended with {code}"
    report.add(f"tools.gpu_check {end}; what it found is in {path.name}")


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program of this repository in a session of its own, so that what it starts ends with it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code of a program that ends in time; it and all that it started are ended otherwise."""
    try:
        return process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
        return None


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and go."""
    run_tool(gpu_quarter, arguments, (FloatingPointError,))


if __name__ == "__main__":
    main()
