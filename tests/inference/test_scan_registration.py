"""Fitting a head to a scan: reading it, finding its landmarks, telling its unit, and the person's own head."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.paths import DEFAULT_CHECKPOINT, DEFAULT_HEAD
from inference.likeness import Likeness
from inference.scan_landmarks import Scan, ScanLandmarks, find_landmarks
from inference.scan_registration import ScanRequest, likely_unit, personal_head, read_scan, register_scan
from model.face.assets import load_head
from model.face.registration import Registration
from model.geometry.similarity import Similarity
from model.geometry.surface_distance import Surface
from tests.small_world import toy_head

needs_network = pytest.mark.skipif(
    not (DEFAULT_CHECKPOINT / "weights.safetensors").is_file(), reason="the released network is missing"
)


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    path.write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in faces + 1)]) + "\n")
    return path


def test_a_scan_is_read_with_its_colours(tmp_path: Path) -> None:
    toy = toy_head()
    scan = read_scan(write_obj(tmp_path / "plain.obj", toy.vertices_mm, toy.faces))
    np.testing.assert_allclose(scan.vertices, toy.vertices_mm, atol=1e-5)
    assert scan.colours_srgb is None
    lines = [f"v {x} {y} {z} 1.0 0.5 0.0" for x, y, z in toy.vertices_mm]
    lines += [f"f {a} {b} {c}" for a, b, c in toy.faces + 1]
    (tmp_path / "coloured.obj").write_text("\n".join(lines))
    coloured = read_scan(tmp_path / "coloured.obj")
    assert coloured.colours_srgb is not None
    np.testing.assert_allclose(coloured.colours_srgb[5], [1.0, 0.5, 0.0], atol=0.01)


@pytest.mark.parametrize("text", ["", "no mesh", "v 0 0 0\nv 1 0 0\n", "v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"])
def test_what_is_no_scan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.obj").write_text(text)
    with pytest.raises(ValueError, match=r"broken\.obj"):
        read_scan(tmp_path / "broken.obj")


@pytest.mark.parametrize(("width", "unit"), [(88.0, "mm"), (9.4, "cm"), (0.085, "m")])
def test_the_unit_is_that_of_peoples_eyes(width: float, unit: str) -> None:
    points = np.array([[-0.5 * width, 0.0, 0.0], [0.5 * width, 0.0, 0.0]])
    picture = np.zeros((4, 4, 3), np.uint8)
    found = ScanLandmarks(np.array([36, 45]), points, picture, np.zeros((68, 2)))
    assert likely_unit(found) == unit
    with pytest.raises(ValueError, match="give --unit"):
        likely_unit(replace(found, numbers=np.array([30, 45])))


def test_the_persons_head_is_their_neutral_in_their_size_and_keeps_the_rig() -> None:
    head = toy_head()
    place = Similarity(1.05, Rotation.from_euler("y", 30.0, degrees=True).as_matrix(), np.array([10.0, 20.0, 30.0]))
    weights = np.zeros(52)
    weights[3] = 0.5
    bump = np.zeros_like(head.vertices_mm, dtype=float)
    bump[7] = 2.0
    shown = place.apply(head.vertices_mm + np.tensordot(weights, head.expression_basis, 1) + bump)
    own = personal_head(head, Registration(place, np.zeros(6), weights, shown, shown, np.ones(len(shown), bool)))
    np.testing.assert_allclose(own.vertices_mm, 1.05 * (head.vertices_mm + bump), atol=1e-3)
    np.testing.assert_allclose(own.expression_basis, 1.05 * head.expression_basis, atol=1e-5)
    assert own.expression_names == head.expression_names
    assert own.landmarks is head.landmarks


@pytest.mark.slow
@needs_network
def test_a_scan_that_lies_on_its_side_in_metres_is_found_and_fitted(tmp_path: Path) -> None:
    head = load_head(DEFAULT_HEAD)
    identity = np.zeros(100)
    identity[:8] = (1.5, -1.0, 0.8, 1.0, -0.7, 0.5, -1.2, 0.6)
    person = head.vertices_mm + np.tensordot(identity, head.identity_basis, 1)
    lying = 0.001 * person @ Rotation.from_euler("xz", [-90.0, 25.0], degrees=True).as_matrix().T + (0.3, 1.0, 0.2)
    path = write_obj(tmp_path / "person.obj", lying, head.faces)
    request = ScanRequest(path, DEFAULT_HEAD, DEFAULT_CHECKPOINT, view=tmp_path / "view.png")
    told = list(register_scan(request, tmp_path / "person.safetensors"))
    assert "in m" in told[0]
    assert (tmp_path / "view.png").is_file()
    own = load_head(tmp_path / "person.safetensors")
    face = head.regions["face"] & ~head.regions["eyes"]
    skin = head.faces[head.regions["skin"][head.faces].all(1)]
    away = Surface(person.astype(float), skin).nearest(own.vertices_mm[face].astype(float)).distance_mm
    # The two differ by where the origin is as well.
    assert np.median(away) < 1.5
    assert "with displacements: median 0." in told[2]


@pytest.mark.slow
@needs_network
def test_a_scan_without_a_face_is_named(tmp_path: Path) -> None:
    corners = 100.0 * np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = np.array([[0, 1, 2], [1, 3, 2], [4, 6, 5], [5, 6, 7]])
    with pytest.raises(ValueError, match=r"box\.obj: no face was found"):
        find_landmarks(Scan(corners, faces, None), Likeness.load(DEFAULT_CHECKPOINT), tmp_path / "box.obj")
