"""Keeping traced light transport between runs, so that unchanged faces are not traced twice, within a bound."""

from pathlib import Path

CACHE_FOLDER = ".cache/transport"
"""Below the output folder; it may be deleted at any time."""


class TransportCache:
    """A folder of tables whose oldest files go when they take too much room."""

    def __init__(self, folder: Path | None, limit_gb: float) -> None:
        """Name the folder, None for nowhere, and the most it may hold."""
        self._folder = folder
        self._limit_bytes = limit_gb * 1e9

    @property
    def folder(self) -> Path | None:
        """Where tables are kept; None where nothing may be kept."""
        return self._folder if self._limit_bytes > 0.0 else None

    def prune(self) -> None:
        """Remove the files that were written longest ago, until the rest is small enough."""
        if self._folder is None or not self._folder.is_dir():
            return
        files = [(path, path.stat()) for path in self._folder.glob("*.safetensors")]
        total = sum(status.st_size for _, status in files)
        for path, status in sorted(files, key=lambda found: found[1].st_mtime_ns):
            if total <= self._limit_bytes:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size
