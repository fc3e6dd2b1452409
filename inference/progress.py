"""Telling how far a run is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0


class ProgressDisplay:
    """Images done, images per second, time left; on standard error."""

    def __init__(self, total: int) -> None:
        """Prepare for `total` images."""
        self._total = total
        self._done = 0
        self._faces = 0
        self._started = time.perf_counter()
        self._last_line = self._started
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            from rich.console import Console

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("reconstructing", total=total, rate="")

    def __enter__(self) -> "ProgressDisplay":
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, faces: int) -> None:
        """One more image is done, with so many faces."""
        self._done += 1
        self._faces += faces
        now = time.perf_counter()
        per_second = self._done / max(now - self._started, 1e-6)
        if self._bar is not None:
            self._bar.update(self._task, advance=1, rate=f"{per_second:.1f} images/s, {self._faces} faces")
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._total - self._done) / per_second
            print(
                f"{self._done}/{self._total} images, {self._faces} faces, {per_second:.1f} images/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def doing(self, text: str) -> None:
        """Say what takes long; any thread may."""
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{self._done}/{self._total} images; {text}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)
