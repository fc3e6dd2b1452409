import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.detection import Detection
from inference.landmark_files import read_landmark_file
from inference.landmark_sources import Finder, build_landmark_source
from inference.refining import FacePhotograph
from model.geometry.camera import default_intrinsics
from tests.small_world import ibug68_layout

PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
POINTS_PX = 200.0 + 60.0 * ibug68_layout() * (1, -1) + (0, -50.0)


@pytest.fixture(scope="module")
def photograph() -> FacePhotograph:
    low, high = POINTS_PX.min(0) - 5.0, POINTS_PX.max(0) + 5.0
    five = POINTS_PX[[36, 45, 30, 48, 54]].astype(np.float32)
    detection = Detection(np.concatenate((low, high)).astype(np.float32), five, 0.9)
    camera = default_intrinsics(*PHOTOGRAPH.shape[:2])
    return FacePhotograph(PHOTOGRAPH, camera, detection, Path("album/anna.jpg"), "anna")


def test_the_networks_points_need_no_finder() -> None:
    assert build_landmark_source("network") is None


def source(name: str) -> Finder:
    """A source other than the network."""
    found = build_landmark_source(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["mediapipe", "face-alignment"])
def test_a_detector_that_is_not_installed_is_named_with_its_installation(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name.replace("-", "_"), None)
    with pytest.raises(ValueError, match=rf"{name}: not installed; pip install .*{name}"):
        source(name)


def fake_mediapipe(seen: list[np.ndarray], *, face: bool = True) -> SimpleNamespace:
    """Sees point i of its mesh at (i, 2 i) thousandths of the picture."""

    class FaceMesh:
        def __init__(self, **_: object) -> None:
            pass

        def process(self, picture: np.ndarray) -> SimpleNamespace:
            seen.append(picture)
            mesh = [SimpleNamespace(x=1e-3 * i, y=2e-3 * i) for i in range(478)]
            return SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=mesh)] if face else None)

    return SimpleNamespace(solutions=SimpleNamespace(face_mesh=SimpleNamespace(FaceMesh=FaceMesh)))


def test_mediapipes_mesh_is_read_at_ibugs_places_in_the_photograph(
    photograph: FacePhotograph, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe(seen))
    found = source("mediapipe")(photograph)
    low, high = photograph.detection.box_px[:2], photograph.detection.box_px[2:]
    side = 1.6 * (high - low).max()
    corner = 0.5 * (low + high) - 0.5 * side
    # The outer corner of the right eye is MediaPipe's 33, the tip of the nose its 4.
    np.testing.assert_allclose(found.points_px[36], corner + side * np.array([0.033, 0.066]), atol=1e-3)
    np.testing.assert_allclose(found.points_px[30], corner + side * np.array([0.004, 0.008]), atol=1e-3)
    assert seen[0].dtype == np.uint8
    assert found.weight[2] < 0.5 < found.weight[8]
    assert (found.weight[17:] == 1.0).all()


def test_a_mediapipe_that_sees_nothing_or_is_too_new_says_so(
    photograph: FacePhotograph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe([], face=False))
    with pytest.raises(ValueError, match="MediaPipe finds no face"):
        source("mediapipe")(photograph)
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace())
    with pytest.raises(ValueError, match="no face mesh; pip install"):
        source("mediapipe")


def test_face_alignment_is_asked_about_the_detection_and_answers_in_the_photograph(
    photograph: FacePhotograph, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FaceAlignment:
        def __init__(self, kind: str, **_: object) -> None:
            assert kind == "3D"

        def get_landmarks_from_image(
            self, picture: np.ndarray, detected_faces: Sequence[np.ndarray]
        ) -> list[np.ndarray] | None:
            left, top, right, bottom = detected_faces[0]
            corners = np.array([(left, top, 7.0), (right, bottom, 7.0)])
            return [np.concatenate((corners, np.zeros((66, 3))))]

    module = SimpleNamespace(FaceAlignment=FaceAlignment, LandmarksType=SimpleNamespace(THREE_D="3D"))
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    found = source("face-alignment")(photograph)
    np.testing.assert_allclose(found.points_px[:2].ravel(), photograph.detection.box_px, atol=1e-3)


def write(path: Path, points: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".npz":
        np.savez(path, landmarks68_px=points)
    elif path.suffix == ".json":
        path.write_text(json.dumps(points.tolist()))
    else:
        rows = "\n".join(f"{x} {y}" for x, y in points + 0.5)
        path.write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".pts"])
def test_points_come_from_a_file_or_a_folder_of_files(suffix: str, photograph: FacePhotograph, tmp_path: Path) -> None:
    path = write(tmp_path / f"anna{suffix}", POINTS_PX)
    for place in (path, tmp_path):
        found = source(str(place))(photograph)
        np.testing.assert_allclose(found.points_px, POINTS_PX, atol=1e-6)
        assert (found.weight == 1.0).all()


def test_of_several_faces_the_one_that_was_detected_is_taken(photograph: FacePhotograph, tmp_path: Path) -> None:
    path = write(tmp_path / "anna.npy", np.stack((POINTS_PX + 150.0, POINTS_PX + 3.0, POINTS_PX - 120.0)))
    np.testing.assert_allclose(source(str(path))(photograph).points_px, POINTS_PX + 3.0)


def test_a_file_of_several_photographs_is_read_by_name(photograph: FacePhotograph, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"bert": (POINTS_PX + 9.0).tolist(), "anna": POINTS_PX.tolist()}))
    np.testing.assert_allclose(source(str(path))(photograph).points_px, POINTS_PX)
    with pytest.raises(ValueError, match=r"all\.json.*'carl'"):
        read_landmark_file(path, "carl")


def test_unknown_points_have_no_weight(photograph: FacePhotograph, tmp_path: Path) -> None:
    points = POINTS_PX.copy()
    points[3] = np.nan
    found = source(str(write(tmp_path / "anna.npy", points)))(photograph)
    assert found.weight[3] == 0.0
    assert found.weight.sum() == 67.0
    assert np.isfinite(found.points_px).all()


def test_what_cannot_be_is_refused_by_name(photograph: FacePhotograph, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        source(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"no landmarks of anna\.jpg; expected anna\.npy"):
        source(str(tmp_path))(photograph)
    with pytest.raises(ValueError, match=r"few\.npy: holds 1 x 5 x 2 .* expected iBUG's 68"):
        source(str(write(tmp_path / "few.npy", POINTS_PX[:5])))(photograph)
    with pytest.raises(ValueError, match=r"far\.npy: its points do not lie on the face"):
        source(str(write(tmp_path / "far.npy", POINTS_PX + 500.0)))(photograph)
    (tmp_path / "broken.pts").write_text("version: 1")
    with pytest.raises(ValueError, match=r"broken\.pts: no landmarks can be read"):
        source(str(tmp_path / "broken.pts"))(photograph)
    (tmp_path / "points.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"points\.csv: landmarks are read from"):
        source(str(tmp_path / "points.csv"))(photograph)
