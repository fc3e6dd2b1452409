"""What may be asked together about refinement; asked of the dataclasses and of the command line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.paths import REPOSITORY
from inference.options import InferenceOptions
from inference.refine_request import RefineRequest


def test_nothing_is_refined_unless_asked() -> None:
    assert InferenceOptions(images=[Path()]).refinement == RefineRequest(level="none")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"network": False}, "--no-network"),
        ({"landmarks": "mediapipe"}, "--landmarks"),
        ({"path_trace": "no"}, "--path-trace"),
        ({"config": Path("other.yaml")}, "--refine-config"),
        ({"level": "raster", "network": False}, "--no-network"),
        ({"level": "raster", "path_trace": "yes"}, "--path-trace"),
        ({"level": "raster", "config": Path("nowhere.yaml")}, "nowhere.yaml"),
        ({"level": "raster", "landmarks": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named) as refusal:
        RefineRequest(**options)
    assert "\n" not in str(refusal.value)


def test_a_detector_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.refine_request.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install face-alignment"):
        RefineRequest(level="landmarks", landmarks="face-alignment")
    monkeypatch.setattr("inference.refine_request.find_spec", lambda name: name == "face_alignment" or None)
    assert RefineRequest(level="landmarks", landmarks="face-alignment", network=False).landmarks == "face-alignment"


def test_landmarks_may_come_from_a_file_or_a_folder(tmp_path: Path) -> None:
    assert RefineRequest(level="raster", network=False, landmarks=str(tmp_path)).landmarks == str(tmp_path)


def test_formats_that_would_write_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="maps needs --refine raytrace"):
        InferenceOptions(images=[Path()], formats=("maps",), refinement=RefineRequest(level="raster"))
    with pytest.raises(ValueError, match="pictures needs --refine landmarks or raster or raytrace"):
        InferenceOptions(images=[Path()], formats=("maps", "pictures"))
    InferenceOptions(images=[Path()], formats=("maps", "npz"))
    InferenceOptions(images=[Path()], formats=("pictures",), refinement=RefineRequest(level="landmarks"))
    InferenceOptions(images=[Path()], formats=("maps",), refinement=RefineRequest(level="raytrace"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-network"], "--no-network"),
        (["--refine", "everything"], "everything"),
        (["--refine", "raster", "--landmarks", "nowhere.json"], "nowhere.json"),
        (["--refine", "raster", "--refine-config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_the_command_line_refuses_before_torch_is_loaded(tmp_path: Path, arguments: list[str], said: str) -> None:
    code = (
        "import sys, infer\n"
        "try:\n    infer.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    print('torch' in sys.modules, end.code)"
    )
    command = [sys.executable, "-c", code, "--images", str(tmp_path), "--output", str(tmp_path / "out"), *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False, env={**os.environ}
    )
    assert done.stdout.split() == ["False", "2"], done.stderr
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
