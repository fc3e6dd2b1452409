"""FLAME: a file in its layout is read as its authors' code reads it; a hostile or wrong one is refused."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.face.readers.flame import FlameFiles, read_flame
from model.face.readers.foreign import DEVIATIONS_AT_ONE
from tests.model.face.layouts import (
    flame_arrays,
    truth,
    write_flame,
    write_flame_landmarks,
    write_flame_masks,
    write_flame_static,
    write_flame_texture,
)
from tests.model.face.test_safe_pickle import Hostile
from tests.small_world import toy_head


def files(folder: Path, **changes: Any) -> FlameFiles:
    return FlameFiles(write_flame(folder, truth(), **changes), write_flame_landmarks(folder, toy_head()))


def test_metres_become_millimetres_and_shape_and_expression_part_at_300(tmp_path: Path) -> None:
    made, head = truth(), read_flame(files(tmp_path)).assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_array_equal(head.faces, made.faces)
    assert len(head.identity_basis) == 300
    np.testing.assert_allclose(head.identity_basis[:6], made.identity_mm, atol=1e-5)
    assert not head.identity_basis[6:].any()
    plus = head.expression_names.index("expression002Plus")
    np.testing.assert_allclose(head.expression_basis[plus], DEVIATIONS_AT_ONE * made.expression_mm[2], atol=1e-4)
    np.testing.assert_array_equal(head.expression_basis[plus + 1], -head.expression_basis[plus])
    assert head.expression_names[plus + 1] == "expression002Minus"


def test_a_jaw_that_opens_is_skinned_with_its_correctives(tmp_path: Path) -> None:
    made, head = truth(), read_flame(files(tmp_path)).assets
    arrays = flame_arrays(made)
    # The authors' sum for one joint that turns: correctives, then the share of each vertex that follows the jaw.
    turn = Rotation.from_rotvec([np.radians(26.0), 0.0, 0.0]).as_matrix()
    joint = 1000.0 * arrays["J_regressor"][2] @ arrays["v_template"]
    features = np.zeros(36)
    features[9:18] = (turn - np.eye(3)).ravel()
    corrected = made.vertices_mm + 1000.0 * arrays["posedirs"] @ features
    followed = (corrected - joint) @ turn.T + joint
    share = arrays["weights"][:, [2]]
    expected = share * followed + (1.0 - share) * corrected - made.vertices_mm
    found = head.expression_basis[head.expression_names.index("jawOpen")]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert head.skinning is not None
    assert head.skinning.names == ("root", "neck", "jaw", "left_eye", "right_eye")
    np.testing.assert_array_equal(head.skinning.parents, [-1, 0, 1, 1, 1])
    moved = 1000.0 * np.einsum("jv,vx->jx", arrays["J_regressor"], arrays["shapedirs"][..., 3])
    np.testing.assert_allclose(head.skinning.identity_basis[3], moved, atol=1e-6)


def test_landmarks_keep_ibugs_order_and_the_outline_follows_the_yaw(tmp_path: Path) -> None:
    head = read_flame(files(tmp_path)).assets
    np.testing.assert_array_equal(head.landmarks["ibug68"].face, toy_head().landmarks["ibug68"].face)
    assert head.contour is not None
    np.testing.assert_array_equal(head.contour.yaw_deg, np.arange(-39.0, 40.0))
    written = np.load(tmp_path / "landmark_embedding.npy", allow_pickle=True).item()["dynamic_lmk_faces_idx"]
    # The authors' code takes row round(-yaw) where the head is turned one way and row 39 + yaw where the other.
    np.testing.assert_array_equal(head.contour.nearest(-12.0)[0], written[12])
    np.testing.assert_array_equal(head.contour.nearest(7.0)[0], written[46])
    np.testing.assert_array_equal(head.contour.nearest(80.0)[0], written[78])


def test_the_static_file_of_68_will_do(tmp_path: Path) -> None:
    found = read_flame(FlameFiles(write_flame(tmp_path, truth()), write_flame_static(tmp_path, toy_head()))).assets
    np.testing.assert_allclose(found.landmarks["ibug68"].barycentric, toy_head().landmarks["ibug68"].barycentric)
    assert found.contour is None


def test_texture_and_masks_are_ours_afterwards(tmp_path: Path) -> None:
    given = replace(
        files(tmp_path),
        texture=write_flame_texture(tmp_path, toy_head()),
        masks=write_flame_masks(tmp_path, toy_head()),
    )
    read = read_flame(given)
    head, toy = read.assets, toy_head()
    assert "albedo" not in read.lacks
    # v up: the lower half of the face has the picture's lower, brighter half. BGR becomes linear RGB.
    low = np.flatnonzero(toy.uv[:, 1] < 0.4)
    np.testing.assert_allclose(head.albedo_mean[low], np.tile((0.5776, 0.1878, 0.0452), (len(low), 1)), atol=1e-3)
    # A step of 10 in the coded red 200, by the curve itself.
    step = ((205.0 / 255.0 + 0.055) / 1.055) ** 2.4 - ((195.0 / 255.0 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(head.albedo_basis[0, low, 0], step, rtol=1e-3)
    assert not head.albedo_basis[0, low, 1:].any()
    np.testing.assert_array_equal(head.regions["left_eye"], toy.regions["left_eye"])
    np.testing.assert_array_equal(head.regions["ears"], toy.regions["ears"])
    np.testing.assert_array_equal(head.uv_faces, toy.uv_faces)


def test_a_pickle_that_tries_to_run_code_runs_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    given = files(tmp_path, v_template=Hostile(os.system, f"touch {witness}"))
    with pytest.raises(ValueError, match=r"flame2023\.pkl.*nothing of it was run"):
        read_flame(given)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"posedirs": None}, "posedirs missing"),
        ({"weights": np.ones((4, 5))}, r"weights has shape \(4, 5\)"),
        ({"shapedirs": np.zeros((3, 3, 400))}, "shapedirs has shape"),
        ({"f": "triangles"}, "f holds no numbers"),
    ],
)
def test_a_wrong_model_is_named_with_what_is_wrong(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"flame2023\.pkl: not a FLAME model.*{said}"):
        read_flame(files(tmp_path, **changes))


def test_landmarks_must_come_from_somewhere(tmp_path: Path) -> None:
    model = write_flame(tmp_path, truth())
    with pytest.raises(ValueError, match="give --landmarks"):
        read_flame(FlameFiles(model))
    with pytest.raises(ValueError, match=r"flame2023\.pkl: not a landmark embedding"):
        read_flame(FlameFiles(model, model))
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"):
        read_flame(FlameFiles(model, tmp_path / "absent.npy"))


def test_another_unit_is_noticed(tmp_path: Path) -> None:
    in_mm = flame_arrays(truth())["v_template"] * 1000.0
    with pytest.raises(ValueError, match="another unit"):
        read_flame(files(tmp_path, v_template=in_mm))
