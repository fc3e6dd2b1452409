"""The Basel Face Models: units, deviations, counting from 1 and triangles of each release; wrong files are named."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from model.face.readers import basel
from model.face.readers.basel import read_basel_2009, read_basel_hdf5, read_deep3d
from model.face.readers.colours import linear_of
from model.face.readers.foreign import DEVIATIONS_AT_ONE
from tests.model.face.layouts import (
    truth,
    write_albedo_part,
    write_basel_2009,
    write_basel_hdf5,
    write_deep3d,
)

LINEAR = linear_of(np.array([200.0, 120.0, 60.0]) / 255.0)


def points_of_the_toy() -> dict[int, int]:
    """The toy head's vertices in place of the model's 53,490."""
    return {number: int(truth().corners68[number]) for number in basel.POINTS_2009}


def test_2009_is_in_micrometres_with_unit_components_and_triangles_inside_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basel, "POINTS_2009", points_of_the_toy())
    made = truth()
    read = read_basel_2009(write_basel_2009(tmp_path, made, expressions=False))
    head = read.assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_array_equal(head.faces, made.faces)
    np.testing.assert_allclose(head.identity_basis, made.identity_mm, atol=1e-4)
    np.testing.assert_allclose(head.albedo_mean, np.tile(LINEAR, (len(made.vertices_mm), 1)), atol=1e-5)
    assert read.lacks == ("expressions",)
    assert read.known_points[30] == made.corners68[30]


def test_the_expressions_of_guo_come_with_their_own_vertices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basel, "POINTS_2009", points_of_the_toy())
    made = truth()
    head = read_basel_2009(write_basel_2009(tmp_path, made, expressions=True)).assets
    count = len(made.vertices_mm) - 1
    assert head.vertices_mm.shape == (count, 3)
    assert head.faces.max() < count
    np.testing.assert_allclose(head.identity_basis, made.identity_mm[:, :count], atol=1e-4)
    # Deviations of 2 beside components of half the size.
    np.testing.assert_allclose(head.expression_basis[2], DEVIATIONS_AT_ONE * made.expression_mm[1, :count], atol=1e-3)
    assert head.expression_names[:3] == ("expression000Plus", "expression000Minus", "expression001Plus")


def test_deep3ds_front_is_in_decimetres_and_knows_all_68(tmp_path: Path) -> None:
    made = truth()
    head = read_deep3d(write_deep3d(tmp_path, made)).assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_array_equal(head.faces, made.faces)
    np.testing.assert_allclose(head.identity_basis, made.identity_mm, atol=1e-4)
    points = head.landmarks["ibug68"]
    corners = head.faces[points.face][np.arange(68), points.barycentric.argmax(1)]
    np.testing.assert_array_equal(corners, made.corners68)


def test_2019_is_in_mm_with_variances_and_names_its_landmarks(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    made = truth()
    read = read_basel_hdf5(write_basel_hdf5(tmp_path, made))
    head = read.assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_array_equal(head.faces, made.faces)
    np.testing.assert_allclose(head.identity_basis, made.identity_mm, atol=1e-4)
    np.testing.assert_allclose(head.expression_basis[0], DEVIATIONS_AT_ONE * made.expression_mm[0], atol=1e-3)
    assert {30, 36, 45, 48, 54} <= set(read.known_points)
    place = head.vertices_mm[read.known_points[36]]
    np.testing.assert_allclose(place, made.vertices_mm[made.corners68[36]], atol=1e-3)
    np.testing.assert_allclose(head.albedo_mean[0], linear_of(np.array([0.8, 0.5, 0.3])), atol=1e-5)


def test_albedomm_takes_the_place_of_the_colours_and_is_linear_already(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    made = truth()
    model = write_basel_hdf5(tmp_path, made)
    head = read_basel_hdf5(model, write_albedo_part(tmp_path, len(made.vertices_mm))).assets
    np.testing.assert_allclose(head.albedo_mean[3], [0.4, 0.2, 0.1], atol=1e-6)
    np.testing.assert_allclose(head.albedo_basis[0, 0], [0.2, 0.0, 0.0], atol=1e-6)
    with pytest.raises(ValueError, match=r"albedoPart\.h5: 5 vertices"):
        read_basel_hdf5(model, write_albedo_part(tmp_path, 5))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"01_MorphableModel\.mat"):
        read_basel_2009(tmp_path)
    (tmp_path / "01_MorphableModel.mat").write_bytes(b"no matlab file at all")
    with pytest.raises(ValueError, match=r"01_MorphableModel\.mat: not a MATLAB file"):
        read_basel_2009(tmp_path)
    savemat(tmp_path / "other.mat", {"meanshape": np.zeros((1, 9))})
    with pytest.raises(ValueError, match=r"other\.mat: exBase, idBase, keypoints, meantex, texBase, tri missing"):
        read_deep3d(tmp_path / "other.mat")
    (tmp_path / "model2019_bfm.h5").write_bytes(b"no hdf5")
    with pytest.raises(ValueError, match=r"model2019_bfm\.h5"):
        read_basel_hdf5(tmp_path / "model2019_bfm.h5")


@pytest.mark.parametrize("name", ["Exp_Pca.bin", "std_exp.txt"])
def test_expressions_that_do_not_fit_are_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basel, "POINTS_2009", points_of_the_toy())
    write_basel_2009(tmp_path, truth(), expressions=True)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-8] if name == "Exp_Pca.bin" else b"1.0 2.0 3.0")
    with pytest.raises(ValueError, match=name):
        read_basel_2009(tmp_path)
