"""The files of a refined face: whole, only those asked for, and true."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.refined_files import write_history, write_records, write_refined
from inference.transport_cache import TransportCache
from tests.model.refine.refined_faces import MODEL, RECORDS, refined_face


def test_records_and_history_read_back(tmp_path: Path) -> None:
    write_records(RECORDS, tmp_path / "refinement.json")
    stages = json.loads((tmp_path / "refinement.json").read_text(encoding="utf-8"))["stages"]
    assert [(stage["name"], stage["accepted"], stage["reason"]) for stage in stages] == [
        ("landmarks", True, "better"),
        ("raster", False, "worse"),
    ]
    assert stages[0]["figures"] == {"residual_px": 1.5}
    assert stages[1]["figures"] == {"psnr_db": None}
    write_history(RECORDS, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["stage"], row["term"], int(row["step"]), float(row["value"])) for row in csv.DictReader(file)]
    assert rows == [
        ("landmarks", "data", 0, 3.0),
        ("landmarks", "data", 1, 2.0),
        ("landmarks", "prior", 0, 0.0),
        ("landmarks", "prior", 1, 1e-7),
    ]


@pytest.mark.slow
def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    write_refined(refined_face(), MODEL, tmp_path, ("npz",), 16)
    assert {path.name for path in tmp_path.iterdir()} == {"refinement.json", "history.csv"}
    write_refined(refined_face(), MODEL, tmp_path, ("pictures",), 16)
    assert {path.name for path in tmp_path.iterdir()} == {"refinement.json", "history.csv", "before_after.jpg"}
    painted = replace(refined_face(raytraced=True), path_traced_srgb=np.zeros((8, 8, 3), np.uint8))
    write_refined(painted, MODEL, tmp_path, ("pictures",), 16)
    assert {"relit.jpg", "path_traced.png"} < {path.name for path in tmp_path.iterdir()}


def test_the_cache_forgets_the_oldest_first(tmp_path: Path) -> None:
    import os

    for number in range(4):
        (tmp_path / f"{number}.safetensors").write_bytes(bytes(1000))
        os.utime(tmp_path / f"{number}.safetensors", ns=(number, number))
    (tmp_path / "mine.txt").write_bytes(bytes(10_000))
    TransportCache(tmp_path, 2.5e-6).prune()
    assert {path.name for path in tmp_path.iterdir()} == {"2.safetensors", "3.safetensors", "mine.txt"}
    assert TransportCache(tmp_path, 0.0).folder is None
    TransportCache(tmp_path / "nowhere", 1.0).prune()
