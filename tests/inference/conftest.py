"""Shared by tests of exported networks."""

from pathlib import Path

import pytest

from inference.export_command import main
from inference.network_session import SESSION_FILE
from tests.inference.small_network import lively_checkpoint


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with its ONNX file, made once: that takes the longest of all."""
    folder = lively_checkpoint(tmp_path_factory.mktemp("exported"))
    assert main(["--format", "onnx", "--checkpoint", str(folder), "--output", str(folder / SESSION_FILE)]) == 0
    return folder
