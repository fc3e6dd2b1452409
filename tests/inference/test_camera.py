import json
from pathlib import Path

import numpy as np
import pytest

from data.exif_camera import ExifFocal
from data.image_io import DecodedPhotograph
from inference.camera import Cameras
from inference.camera_request import CameraError, CameraRequest
from inference.intrinsics import given_intrinsics, read_intrinsics
from model.geometry.camera import default_intrinsics

WIDE = DecodedPhotograph(np.zeros((300, 600, 3), np.uint8))
MATRIX = [[900.0, 0.0, 310.0], [0.0, 950.0, 140.0], [0.0, 0.0, 1.0]]


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_the_user_says_counts_before_exif_and_that_before_the_assumption() -> None:
    tagged = DecodedPhotograph(WIDE.image_srgb, ExifFocal(1234.0, "75 mm on 35 mm film"))
    found = [Cameras(request).of(tagged, Path("a.jpg")) for request in (None, CameraRequest(focal_px=500.0))]
    found.append(Cameras(CameraRequest(fov=90.0)).of(tagged, Path("a.jpg")))
    found.append(Cameras().of(WIDE, Path("a.jpg")))
    assert [camera.source for camera in found] == ["exif", "focal_px", "fov", "assumed"]
    focal_px = [float(camera.intrinsics_px[0, 0]) for camera in found]
    # 90 degrees over the longer side: half of it.
    assert focal_px == pytest.approx([1234.0, 500.0, 300.0, float(default_intrinsics(300, 600)[0, 0])])
    assert "75 mm" in found[0].note
    for camera in found:
        assert camera.intrinsics_px[:2, 2].tolist() == [300.0, 150.0]


def test_why_exif_was_not_used_is_said() -> None:
    cut = DecodedPhotograph(WIDE.image_srgb, ExifFocal(None, "the picture has been cut"))
    camera = Cameras().of(cut, Path("a.jpg"))
    assert camera.source == "assumed"
    assert camera.note.endswith("the picture has been cut")


@pytest.mark.parametrize("form", ["json", "matrix", "rows", "named", "npy", "npz"])
def test_a_matrix_comes_from_any_common_file(form: str, tmp_path: Path) -> None:
    numbers = {"fx": 900, "fy": 950, "cx": 310, "cy": 140}
    path = tmp_path / {"rows": "k.txt", "npy": "k.npy", "npz": "face.npz"}.get(form, "k.json")
    if form == "npy":
        np.save(path, MATRIX)
    elif form == "npz":
        np.savez(path, intrinsics=np.array(MATRIX, np.float32))
    else:
        rows = "900 0 310\n0, 950, 140\n0 0 1\n"
        write(path, {"json": numbers, "matrix": MATRIX, "rows": rows, "named": {"intrinsics": MATRIX}}[form])
    camera = Cameras(CameraRequest(intrinsics=path)).of(WIDE, Path("a.jpg"))
    assert camera.intrinsics_px.tolist() == MATRIX
    assert camera.source == "intrinsics"
    assert str(path) in camera.note


def test_each_photograph_may_have_its_own_by_name_or_path(tmp_path: Path) -> None:
    numbers = {name: {"fx": focal, "cx": 300, "cy": 150} for name, focal in (("a.jpg", 700), ("left/b.jpg", 800))}
    cameras = Cameras(CameraRequest(intrinsics=write(tmp_path / "k.json", numbers)))
    assert float(cameras.of(WIDE, Path("in/a.jpg")).intrinsics_px[1, 1]) == 700.0
    assert float(cameras.of(WIDE, Path("in/left/b.jpg")).intrinsics_px[0, 0]) == 800.0
    with pytest.raises(CameraError, match=r"no camera for b\.jpg"):
        cameras.of(WIDE, Path("in/right/b.jpg"))


def test_a_stated_size_scales_the_matrix_and_another_shape_is_refused(tmp_path: Path) -> None:
    numbers = {"fx": 1800, "fy": 1900, "cx": 620, "cy": 280, "width": 1200, "height": 600}
    cameras = Cameras(CameraRequest(intrinsics=write(tmp_path / "k.json", numbers)))
    np.testing.assert_allclose(cameras.of(WIDE, Path("a.jpg")).intrinsics_px, MATRIX)
    square = DecodedPhotograph(np.zeros((300, 300, 3), np.uint8))
    with pytest.raises(CameraError, match="1200 x 600 px, this one has 300 x 300"):
        cameras.of(square, Path("a.jpg"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"fx": 900, "cx": 300}, "cy missing"),
        ({"fx": -900, "cx": 300, "cy": 150}, "must be positive"),
        ({"fx": float("nan"), "cx": 300, "cy": 150}, "not finite"),
        ([[900, 0, 300], [0, 900, 150], [0, 0, 2]], "last row"),
        ([[900, 5, 300], [0, 900, 150], [0, 0, 1]], "skew of 5 px"),
        ([[900, 0], [0, 900]], "no camera matrix"),
        ({"a.jpg": {"fx": 900}}, "a.jpg: cx, cy missing"),
        ({"fx": 900, "cx": 3, "cy": 3, "width": 600}, "expected both"),
        ({}, "no camera"),
        ("900 0 300\n0 abc 150\n0 0 1", "abc"),
        ("", "no camera matrix"),
    ],
)
def test_impossible_cameras_are_refused_in_words(content: object, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "k.json", content)
    with pytest.raises(CameraError, match=said) as caught:
        read_intrinsics(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ([[500.0, 0.0, 1e7], [0.0, 500.0, 100.0], [0.0, 0.0, 1.0]], "90 degrees off the axis"),
        ([[500.0, 0.0, 100.0], [0.0, 50.0, 100.0], [0.0, 0.0, 1.0]], "stretched 10 times"),
    ],
)
def test_a_camera_that_cannot_see_the_photograph_is_refused(matrix: list[list[float]], told: str) -> None:
    cameras = Cameras(table=given_intrinsics(np.array(matrix)))
    with pytest.raises(CameraError, match=told):
        cameras.of(WIDE, Path("a.jpg"))


def test_a_part_of_a_wide_photograph_may_lie_beside_the_axis() -> None:
    matrix = [[500.0, 0.0, -800.0], [0.0, 1000.0, 100.0], [0.0, 0.0, 1.0]]
    found = Cameras(table=given_intrinsics(np.array(matrix))).of(WIDE, Path("a.jpg"))
    assert found.intrinsics_px.tolist() == matrix


def test_a_focal_length_in_other_units_is_refused() -> None:
    for focal_px in (1.2, 50_000_000.0):
        with pytest.raises(CameraError, match="px of the photograph"):
            Cameras(CameraRequest(focal_px=focal_px)).of(WIDE, Path("a.jpg"))
    with pytest.raises(CameraError, match="px of the photograph"):
        Cameras(table=given_intrinsics(np.diag([1.2, 1.2, 1.0]))).of(WIDE, Path("a.jpg"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fov": 0.0}, "--fov"),
        ({"fov": 180.0}, "--fov"),
        ({"fov": float("nan")}, "--fov"),
        ({"focal_px": -1.0}, "--focal-px"),
        ({"fov": 30.0, "focal_px": 900.0}, "--fov and --focal-px: the camera is said once"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(asked: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CameraRequest(**asked)  # pyright: ignore[reportArgumentType]


def test_a_script_gives_its_matrix_itself() -> None:
    camera = Cameras(table=given_intrinsics(np.array(MATRIX))).of(WIDE, Path("photograph"))
    assert camera.intrinsics_px.tolist() == MATRIX
    with pytest.raises(CameraError, match="last row"):
        given_intrinsics(np.ones((3, 3)))
