"""How long a piece of work takes: what the measuring commands share."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Spent:
    """What several runs of a piece of work took, in ms.

    Attributes:
        wall_ms: By the clock on the wall, of each run, ascending.
        cpu_ms: Of all processors together, of each run, ascending. Where it is far below the wall's, something else was
            running: the wall's clock then tells of the machine, not of the work.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]

    def __str__(self) -> str:
        """Medians, and the wall's clock from the tenth to the ninetieth of a hundred runs."""
        low, high = (self.wall_ms[round(share * (len(self.wall_ms) - 1))] for share in (0.1, 0.9))
        wall, cpu = statistics.median(self.wall_ms), statistics.median(self.cpu_ms)
        return f"{wall:>10.2f} {low:>9.2f} {high:>9.2f} {cpu:>9.2f}"


def spent_ms(work: Work, repeats: int = 20, warm: int = 2, each: int = 1) -> Spent:
    """Time of several runs on the CPU, after some that warm up.

    Args:
        work: What is run.
        repeats: How often.
        warm: How often before.
        each: What one run makes; the times are of one of them.
    """
    runs = []
    for _ in range(warm + repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        runs.append((1000.0 * (time.perf_counter() - wall) / each, 1000.0 * (time.process_time() - cpu) / each))
    wall_ms, cpu_ms = (tuple(sorted(column)) for column in zip(*runs[warm:], strict=True))
    return Spent(wall_ms, cpu_ms)


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
