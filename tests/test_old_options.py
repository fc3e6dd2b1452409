"""Options of `evaluate.py` that an earlier version called otherwise."""

import logging
from pathlib import Path

import pytest

import evaluate


def test_the_recognition_network_is_taken_by_its_name_of_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "absent.npz"
    options = ["photographs", "--data", str(tmp_path), "--identity_network_kind", "mobilefacenet"]
    with caplog.at_level(logging.WARNING):
        assert evaluate.main([*options, f"--identity_network={weights}"]) == 2
    assert str(weights) in capsys.readouterr().err
    assert [record.message for record in caplog.records if "is called" in record.message] == [
        "evaluate.py: `--identity_network_kind` is called `--recognition_network_kind` now, "
        "`--identity_network` is called `--recognition_network` now"
    ]
