"""Programs answer at once where nothing is to be computed: help, a mistyped option, a path that is not there."""

import subprocess
import sys

import pytest

from common.paths import REPOSITORY

# Runs a program's function with a command line, and tells its exit code and what was loaded.
ASK = """
import importlib, sys

module, function, *arguments = sys.argv[1:]
try:
    code = getattr(importlib.import_module(module), function)(arguments)
except SystemExit as end:
    code = end.code
loaded = [name for name in ("torch", "lightning", "albumentations", "timm") if name in sys.modules]
print("loaded:", *loaded)
sys.exit(code)
"""
OWN = ["--config", "configs/own_photographs.yaml"]


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("infer.main", ["--help"], "--images"),
        ("infer.main", ["--images", "README.md", "--colour", "red"], "unrecognized arguments: --colour red"),
        ("infer.main", ["--images", "README.md", "--checkpoint", "nowhere"], "--checkpoint nowhere: no checkpoint"),
        ("infer.main", ["--images", "README.md", "--output", "README.md/out"], "README.md is in the way"),
        ("infer.main", ["--images", "README.md", "--intrinsics", "README.md"], "no camera matrix"),
        ("train.start", ["--help"], "--optimizer.learning_rate"),
        ("train.start", ["--config", "nowhere.yaml"], "nowhere.yaml"),
        ("train.start", [*OWN, "--optimizer.learnig_rate", "1"], "did you mean --optimizer.learning_rate"),
        ("train.start", [*OWN, "--train.shards", "nowhere"], "nowhere: holds no shards"),
        ("train.start", [*OWN, "--output", "never", "--resume"], "nothing to resume"),
        ("evaluate.main", ["--help"], "inverse-rendering"),
        ("evaluate.main", ["aflw2000", "--data", "nowhere"], "--data nowhere: no such folder"),
        ("evaluate.main", ["shapes", "--checkpoint", "nowhere"], "--checkpoint nowhere: no checkpoint"),
        ("evaluate.main", ["scans", "--colour", "red"], "unrecognized arguments: --colour red"),
        ("data.prepare.main", ["--help"], "--validation_percent"),
        ("data.prepare.main", ["nowhere", "--output", "never"], "nowhere: no such folder"),
        ("likeness.command.main", ["train", "--help"], "--optimizer.learning_rate"),
        ("likeness.command.main", ["export", "--help"], "--precision"),
        ("likeness.command.main", ["exaggerate", "--help"], "--factor"),
        ("inference.exaggerate_command.main", ["nowhere"], "nowhere: holds no mesh.glb"),
        ("inference.exaggerate_command.main", ["nowhere", "--region", "nose"], "such as nose=2.0"),
        ("inference.export_command.main", ["--format", "onnx", "--output", "x.pt2"], "ends in .onnx"),
    ],
)
def test_nothing_large_is_loaded_for_an_answer_that_needs_nothing(
    program: str, arguments: list[str], said: str
) -> None:
    command = [sys.executable, "-c", ASK, *program.rsplit(".", 1), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.rstrip().endswith("loaded:"), done.stdout[-300:] + done.stderr
    assert said in done.stdout + done.stderr
    assert (done.returncode == 0) == ("--help" in arguments)
    if "--help" not in arguments:
        # A line or two, not screens of usage.
        assert done.stderr.count("\n") <= 2


def test_the_help_of_infer_needs_no_arrays() -> None:
    command = "import sys, infer\ntry: infer.main(['--help'])\nexcept SystemExit: print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.rstrip().endswith("False"), done.stderr
