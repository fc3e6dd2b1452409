"""Processes for tests of the training program: forked from one that has imported it already, which takes seconds."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PATIENCE_S = 600
"""A busy machine is slow; a test that hangs must end all the same."""


def start(work: Callable[..., Any], log: Path, *arguments: Any) -> BaseProcess:
    """Call a function of a module in a process of its own, which writes what it prints into a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "tests.small_run"])
    process = context.Process(target=_run, args=(work, log, *arguments))
    process.start()
    return process


def _run(work: Callable[..., Any], log: Path, *arguments: Any) -> None:
    import torch

    with log.open("ab", buffering=0) as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    torch.set_num_threads(1)
    # As in a program started by hand: loader workers are children of the training process and end with it when it is
    # killed. Those of a fork server would outlive it.
    multiprocessing.set_start_method("fork", force=True)
    work(*arguments)


def finish(process: BaseProcess, log: Path) -> None:
    """Wait for a process; one that failed or hangs fails the test with what it printed."""
    process.join(PATIENCE_S)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    assert not hangs, f"hangs:\n{log.read_text()[-3000:]}"
    assert process.exitcode == 0, f"exit code {process.exitcode}:\n{log.read_text()[-3000:]}"
