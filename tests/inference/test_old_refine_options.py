"""Settings of a refinement that an earlier version called otherwise."""

import logging
from pathlib import Path

import pytest

from inference.refine_options import read_refine_options


def test_they_are_read_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("identity_network: {network: facenet}\nraster: {identity_feature: 0.5}\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        options = read_refine_options(path)
    assert options.recognition_network.network == "facenet"
    assert options.raster.recognition_feature == 0.5
    assert [record.message for record in caplog.records] == [
        f"{path}: `identity_network` is called `recognition_network` now, "
        "`raster.identity_feature` is called `raster.recognition_feature` now"
    ]
