"""`VERSION`: which Likeness this is, for reports and checkpoints; pyproject.toml is the only place that says it."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _version() -> str:
    # A clone says it itself: another Likeness may be installed beside it. In what is installed there is no such file.
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("likeness")
    except PackageNotFoundError:
        # Parts of a clone that were copied without it, as into a container, still work.
        return "unknown"


VERSION = _version()
