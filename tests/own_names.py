"""A folder as users have them: with modules of their own that are called like folders of this repository."""

import os
import subprocess
from pathlib import Path

USERS_OWN = """
import common, data, model, training
assert model.Net and common.HERE and data.HERE and training.HERE, "a name was taken from the user"
"""
"""A piece of a script that runs in such a folder."""


def own_folder(folder: Path) -> Path:
    """Write `model.py`, `common.py`, `data/` and `training/`; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text("class Net: pass\n")
    (folder / "common.py").write_text("HERE = True\n")
    for name in ("data", "training"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("HERE = True\n")
    return folder


def run_in(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command there, with one thread as in the tests, so that sums are made in the same order."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env=environment)
