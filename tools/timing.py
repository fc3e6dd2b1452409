"""How long a piece of work takes: what the measuring commands share."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

Work = Callable[[], object]
Clock = Callable[[], float]


def elapsed_ms(work: Work, clock: Clock = time.perf_counter, device: str = "cpu", repeats: int = 1) -> float:
    """Milliseconds of a run.

    Args:
        work: What is run.
        clock: `time.process_time` counts this process alone, whatever else the machine does.
        device: Waited for, before and after, where it works on by itself.
        repeats: Runs in a row, of which the mean is taken.
    """
    _wait(device)
    started = clock()
    for _ in range(repeats):
        work()
    _wait(device)
    return 1000.0 * (clock() - started) / repeats


def median_ms(work: Work, repeats: int = 20, warm: int = 1, device: str = "cpu") -> float:
    """Median milliseconds of a run, after some that warm up."""
    return statistics.median([elapsed_ms(work, device=device) for _ in range(warm + repeats)][warm:])


def in_turns(
    steps: Sequence[Work], rounds: int, clock: Clock = time.perf_counter, device: str = "cpu", repeats: int = 1
) -> list[list[float]]:
    """Milliseconds of each step in each round, after one that warms up; what slows one round slows all steps."""
    times = [[elapsed_ms(step, clock, device, repeats) for step in steps] for _ in range(rounds + 1)][1:]
    return [list(column) for column in zip(*times, strict=True)]


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)
