"""Shared by all tests; the toy head and its reconstructor are in `tests/small_world.py`."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

# The networks of the tests are tiny: threads only wait for one another, for minutes on a machine that is busy.
torch.set_num_threads(1)


@pytest.fixture
def closed_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders named `closed` cannot be searched, for root neither."""
    scan = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "closed":
            raise PermissionError
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
