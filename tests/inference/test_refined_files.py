"""The files of a refined face: whole, only those asked for, and true."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.alignment import CropWindow
from inference.before_after import write_before_after
from inference.refined import Raytraced, RefinedFace
from inference.refined_files import write_history, write_records, write_refined
from inference.relit import write_relit
from inference.transport_cache import TransportCache
from model.export.appearance import Appearance
from model.parameters import FaceParameters
from model.refine.face import FaceCrop, FittedFace, StageRecord
from tests.small_world import crop_camera, toy_reconstructor

SIZE = 48
MODEL = toy_reconstructor().morphable_model
RECORDS = (
    StageRecord("landmarks", True, "better", 0.25, {"residual_px": 1.5}, {"data": [3.0, 2.0], "prior": [0.0, 1e-7]}),
    StageRecord("raster", False, "worse", 4.0, {"psnr_db": float("nan")}, {}),
)


def refined_face(*, raytraced: bool = False) -> RefinedFace:
    parameters = FaceParameters.neutral(1, MODEL.identity_count, MODEL.expression_count, MODEL.albedo_count)
    camera = crop_camera(1, SIZE)[0]
    crop = FaceCrop(
        image_srgb=torch.full((3, SIZE, SIZE), 0.5),
        inside=torch.ones(SIZE, SIZE),
        color=True,
        intrinsics_px=camera,
        landmarks68_px=torch.zeros(68, 2),
        landmarks68_weight=torch.ones(68),
    )
    face = FittedFace(parameters, None, camera)
    brighter = FittedFace(replace(parameters, lighting=1.5 * parameters.lighting), None, camera)
    window = CropWindow(0.0, 0.0, float(SIZE))
    return RefinedFace(window, crop, face, brighter, RECORDS, shown() if raytraced else None)


def shown() -> Raytraced:
    flat = np.full((16, 16), 0.04, np.float32)
    appearance = Appearance(
        diffuse_linear=np.tile(np.array([0.5, 0.3, 0.2], np.float32), (16, 16, 1)),
        specular_f0=flat,
        roughness=flat + 0.4,
        normal=np.tile(np.array([0.0, 0.0, 1.0], np.float32), (16, 16, 1)),
        known=flat,
        environment_linear=np.ones((4, 8, 3), np.float32),
        lamps=(),
        tone_sd=0.2,
    )
    picture = torch.full((SIZE, SIZE, 3), 0.8)
    return Raytraced(appearance, picture, torch.ones(SIZE, SIZE), 0.5 * picture)


def tile(path: Path, number: int) -> np.ndarray:
    """One of the pictures side by side, without the title above it."""
    picture = np.asarray(Image.open(path)).astype(float)
    return picture[-SIZE:, number * SIZE : (number + 1) * SIZE]


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


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    write_refined(refined_face(), MODEL, tmp_path, ("npz",), 16)
    assert {path.name for path in tmp_path.iterdir()} == {"refinement.json", "history.csv"}
    write_refined(refined_face(), MODEL, tmp_path, ("pictures",), 16)
    assert {path.name for path in tmp_path.iterdir()} == {"refinement.json", "history.csv", "before_after.jpg"}
    painted = replace(refined_face(raytraced=True), path_traced_srgb=np.zeros((8, 8, 3), np.uint8))
    write_refined(painted, MODEL, tmp_path, ("pictures",), 16)
    assert {"relit.jpg", "path_traced.png"} < {path.name for path in tmp_path.iterdir()}


def test_before_and_after_show_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_before_after(refined_face(), MODEL, path)
    assert Image.open(path).width == 6 * SIZE
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    photograph, before, after = (tile(path, number)[middle, middle].mean() for number in range(3))
    assert photograph == pytest.approx(127.5, abs=3.0)
    assert after > before + 10.0


def test_a_black_and_white_photographs_renderings_are_black_and_white(tmp_path: Path) -> None:
    face = refined_face()
    write_before_after(replace(face, crop=replace(face.crop, color=False)), MODEL, tmp_path / "a.jpg")
    for number in (1, 2, 3, 4):
        assert np.ptp(tile(tmp_path / "a.jpg", number), axis=-1).max() <= 6


def test_what_was_ray_traced_is_shown_instead_of_the_rasters_rendering(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_before_after(refined_face(raytraced=True), MODEL, path)
    drawn = tile(path, 2)[SIZE // 2, SIZE // 2]
    # 0.8 in linear RGB is 231 of 255 in sRGB.
    np.testing.assert_allclose(drawn, 231.0, atol=3.0)


def test_the_relit_strip_shows_the_skin_in_every_light(tmp_path: Path) -> None:
    path = tmp_path / "relit.jpg"
    write_relit(refined_face(raytraced=True), shown(), MODEL, 24, path)
    picture = np.asarray(Image.open(path)).astype(float)
    assert picture.shape[1] == 7 * 24
    tiles = [picture[-24:, 24 * number : 24 * (number + 1)] for number in range(7)]
    for first, second in zip(tiles, tiles[1:], strict=False):
        assert np.abs(first - second).mean() > 2.0
    # The lamp goes from the picture's left to its right.
    halves = [tiles[number][8:16, 8:12].mean() - tiles[number][8:16, 12:16].mean() for number in (3, 6)]
    assert halves[0] > 0 > halves[1]


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
