"""GNM Head v3: a file in its schema is read; another version, a missing key and a hostile archive are refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.face.parts import tiles
from model.face.readers.foreign import DEVIATIONS_AT_ONE
from model.face.readers.gnm import read_gnm
from tests.model.face.layouts import truth, write_gnm
from tests.model.face.test_safe_pickle import Hostile
from tests.small_world import toy_head


def test_it_is_read_in_mm_with_signed_expressions_under_its_own_names(tmp_path: Path) -> None:
    made = truth()
    head = read_gnm(write_gnm(tmp_path, made)).assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_allclose(head.identity_basis, made.identity_mm, atol=1e-4)
    row = head.expression_names.index("lower_face_region_001Minus")
    np.testing.assert_allclose(head.expression_basis[row], -DEVIATIONS_AT_ONE * made.expression_mm[1], atol=1e-3)
    np.testing.assert_array_equal(head.mirror, toy_head().mirror)
    np.testing.assert_array_equal(head.regions["left_eye"], toy_head().regions["left_eye"])
    assert head.skinning is not None
    np.testing.assert_array_equal(head.skinning.parents, [-1, 0, 1, 1])


def test_eyes_turn_about_their_joints(tmp_path: Path) -> None:
    made = truth()
    head = read_gnm(write_gnm(tmp_path, made)).assets
    moved = head.expression_basis[head.expression_names.index("eyeLookDownLeft")]
    eye = toy_head().regions["left_eye"]
    assert not moved[~eye].any()
    centred = made.vertices_mm[eye] - made.vertices_mm[eye].mean(0)
    # Down: what lies before the middle goes down by the sine of 25 degrees.
    down = np.sin(np.radians(25.0)) * centred[:, 2] + (1.0 - np.cos(np.radians(25.0))) * centred[:, 1]
    np.testing.assert_allclose(moved[eye, 1], -down, atol=1e-3)
    out = head.expression_basis[head.expression_names.index("eyeLookOutLeft")]
    # Out of the left eye is to the subject's left, +x.
    aside = 0.5 * centred[:, 2] - (1.0 - np.cos(np.radians(30.0))) * centred[:, 0]
    np.testing.assert_allclose(out[eye, 0], aside, atol=1e-3)


def test_the_jaw_is_put_in_ibugs_order_and_each_part_has_its_place(tmp_path: Path) -> None:
    made = truth()
    head = read_gnm(write_gnm(tmp_path, made)).assets
    points = head.landmarks["ibug68"]
    found = np.einsum("pcx,pc->px", head.vertices_mm[head.faces[points.face]], points.barycentric)
    toy, own = toy_head(), toy_head().landmarks["ibug68"]
    expected = np.einsum("pcx,pc->px", made.vertices_mm[toy.faces[own.face]], own.barycentric)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert (tiles(head.uv[head.uv_faces]) == 0).all()
    in_eye = toy.regions["eyes"][head.faces].all(1)
    # Eyes lie below the skin in the texture, where the file has both in the same place.
    assert head.uv[head.uv_faces[in_eye], 1].max(initial=0.0) < 0.25
    assert head.uv[head.uv_faces[~in_eye], 1].min() >= 0.25


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vertex_identity_basis": None}, "vertex_identity_basis missing"),
        ({"version": np.array("4.0")}, r"head of version 4\.0"),
        ({"variant": np.array("hand")}, "hand of version"),
        ({"pose_correctives_regressor": np.zeros((9, 3))}, r"pose_correctives_regressor has shape \(9, 3\)"),
        ({"vertex_groups": np.zeros((1, 4))}, "vertex_groups has shape"),
    ],
)
def test_another_file_is_named_with_what_is_wrong(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"gnm_head\.npz.*{said}"):
        read_gnm(write_gnm(tmp_path, truth(), **changes))


def test_an_archive_with_objects_runs_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    objects = np.array([Hostile(os.system, f"touch {witness}")], dtype=object)
    with pytest.raises(ValueError, match=r"gnm_head\.npz: not an \.npz archive of plain arrays"):
        read_gnm(write_gnm(tmp_path, truth(), joint_names=objects))
    assert not witness.exists()


def test_landmarks_must_be_there_and_fit(tmp_path: Path) -> None:
    path = write_gnm(tmp_path, truth())
    file = tmp_path / "data" / "landmarks" / "head_sparse_68.txt"
    file.write_text("1 2 3\n")
    with pytest.raises(ValueError, match=r"head_sparse_68\.txt: not 68 lines"):
        read_gnm(path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="give --landmarks"):
        read_gnm(path)
