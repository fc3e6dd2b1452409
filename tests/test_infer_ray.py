"""infer.py and data.prepare on a cluster of this machine, one of whose processes is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from common.paths import REPOSITORY
from data.prepare import main as prepare
from infer import main as infer
from tests.small_checkpoint import any_checkpoint

pytest.importorskip("ray", reason="the optional package ray is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds Ray's processes in /proc"),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small files: eight with a face, one without, one that is no picture."""
    folder = tmp_path_factory.mktemp("photographs")
    face = Image.fromarray(skimage.data.astronaut()[0:260, 120:340])
    for number in range(8):
        face.resize((220 - 8 * number, 260 - 8 * number)).save(folder / f"{number}.png")
    Image.fromarray(np.full((80, 90, 3), 90, np.uint8)).save(folder / "wall.png")
    (folder / "text.jpg").write_text("not an image at all")
    return folder


def workers_of(driver: int) -> list[int]:
    """Ray's processes that work on tasks of a program, by its process id."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::MapWorker" in (place / "cmdline").read_bytes() and driver in ancestors(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def ancestors(process: int) -> list[int]:
    chain = []
    while process > 1:
        status = (Path("/proc") / str(process) / "status").read_text()
        process = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
        chain.append(process)
    return chain


def run_and_kill(command: list[str], written: tuple[Path, str]) -> str:
    """Run a program and kill the worker of its cluster when a file of this pattern is there; what the program said."""
    folder, pattern = written
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY
    ) as process:
        deadline = time.monotonic() + 300.0
        while not list(folder.glob(pattern)):
            assert process.poll() is None, process.communicate()[0][-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        victims = workers_of(process.pid)
        assert victims
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text[-2000:]
    return text


def entries(output: Path) -> list[dict[str, Any]]:
    """The report's entries, without how long each took."""
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in report["entries"]]


def test_a_run_whose_worker_is_killed_equals_that_of_one_process(photographs: Path, tmp_path: Path) -> None:
    checkpoint = any_checkpoint(tmp_path)
    options = ["--images", photographs, "--checkpoint", checkpoint, "--device", "cpu", "--formats", "npz"]
    # Sums over batches depend in their last bits on who is in the batch.
    options += ["--batch-size", "1"]
    assert infer(["--output", str(tmp_path / "alone"), *map(str, options)]) == 0
    command = [sys.executable, "infer.py", *map(str, options)]
    output = tmp_path / "ray"
    ray = ["--output", str(output), "--ray", "local", "--ray-workers", "1"]
    text = run_and_kill([*command, *ray], (output, "*/result.json"))
    assert "10 images, 8 faces (1 no_face, 8 ok, 1 unreadable)" in text
    assert entries(output) == entries(tmp_path / "alone")
    # Nothing half-written stays, and nothing is there twice: the same files in both.
    files = [
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for folder in (output, tmp_path / "alone")
    ]
    assert files[0] == files[1]
    again = subprocess.run(
        [*command, *ray, "--resume"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300
    )
    assert "9 kept from an earlier run" in again.stdout, again.stderr
    assert entries(output) == entries(tmp_path / "alone")


def test_shards_of_a_cluster_whose_worker_is_killed_equal_those_of_one_process(
    photographs: Path, tmp_path: Path
) -> None:
    options = [str(photographs), "--photographs_per_shard", "2", "--validation_percent", "20"]
    prepare([*options, "--output", str(tmp_path / "alone"), "--workers", "1"])
    ray = ["--output", str(tmp_path / "ray"), "--ray", "--ray_workers", "1"]
    command = [sys.executable, "-m", "data.prepare", *options, *ray]
    run_and_kill(command, (tmp_path / "ray", "*/*.json"))
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("alone", "ray")]
    for report in reports:
        del report["seconds"], report["options"]["workers"]
    assert reports[0] == reports[1]
    contents = [
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*")}
        for folder in (tmp_path / "alone", tmp_path / "ray")
    ]
    assert contents[0] == contents[1]
