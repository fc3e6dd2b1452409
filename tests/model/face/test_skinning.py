"""Joints: what the definition says, and what a head file keeps of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.face.assets import load_head, save_head
from model.face.skinning import Skinning, YawContour
from tests.small_world import toy_head


def skinning(joints: int = 3) -> Skinning:
    generator = np.random.default_rng(0)
    count = len(toy_head().vertices_mm)
    weights = generator.random((count, joints))
    return Skinning(
        names=tuple("abcdefgh"[:joints]),
        parents=np.array([-1, 0, 1][:joints]),
        joints_mm=10.0 * generator.normal(size=(joints, 3)),
        identity_basis=generator.normal(size=(6, joints, 3)),
        weights=weights / weights.sum(1, keepdims=True),
        correctives=0.1 * generator.normal(size=(9 * joints, count, 3)),
    )


def test_no_turn_moves_nothing() -> None:
    vertices, bones = toy_head().vertices_mm.astype(float), skinning()
    np.testing.assert_allclose(bones.posed(vertices, bones.joints_mm, np.zeros((3, 3))), vertices, atol=1e-9)


def test_a_turn_of_the_root_turns_all_about_it() -> None:
    vertices, bones = toy_head().vertices_mm.astype(float), skinning()
    bones = replace(bones, correctives=np.zeros_like(bones.correctives))
    turn = np.array([0.2, -0.3, 0.1])
    moved = bones.posed(vertices, bones.joints_mm, np.stack((turn, np.zeros(3), np.zeros(3))))
    expected = (vertices - bones.joints_mm[0]) @ Rotation.from_rotvec(turn).as_matrix().T + bones.joints_mm[0]
    np.testing.assert_allclose(moved, expected, atol=1e-9)


def test_it_is_the_published_sum_written_out_with_homogeneous_matrices() -> None:
    vertices, bones = toy_head().vertices_mm.astype(float), skinning()
    turns = 0.4 * np.random.default_rng(2).normal(size=(3, 3))
    matrices = Rotation.from_rotvec(turns).as_matrix()
    corrected = vertices.copy()
    for joint in range(3):
        for row in range(3):
            for column in range(3):
                amount = matrices[joint, row, column] - float(row == column)
                corrected += amount * bones.correctives[9 * joint + 3 * row + column]
    world = []
    for joint, parent in enumerate((None, 0, 1)):
        local = np.eye(4)
        local[:3, :3] = matrices[joint]
        local[:3, 3] = bones.joints_mm[joint] - (0.0 if parent is None else bones.joints_mm[parent])
        world.append(local if parent is None else world[parent] @ local)
    expected = np.zeros_like(vertices)
    for joint in range(3):
        back = np.eye(4)
        back[:3, 3] = -bones.joints_mm[joint]
        there = np.concatenate((corrected, np.ones((len(vertices), 1))), 1) @ (world[joint] @ back).T
        expected += bones.weights[:, [joint]] * there[:, :3]
    np.testing.assert_allclose(bones.posed(vertices, bones.joints_mm, turns), expected, atol=1e-9)


def test_a_head_file_keeps_joints_and_outline(tmp_path: Path) -> None:
    contour = YawContour(np.array([-10.0, 0.0, 20.0]), np.zeros((3, 17), int), np.full((3, 17, 3), 1 / 3))
    head = replace(toy_head(), skinning=skinning(), contour=contour)
    save_head(head, tmp_path / "head.safetensors", half=False)
    read = load_head(tmp_path / "head.safetensors")
    assert read.skinning is not None
    assert read.contour is not None
    assert read.skinning.names == ("a", "b", "c")
    np.testing.assert_allclose(read.skinning.weights, skinning().weights, atol=1e-6)
    np.testing.assert_array_equal(read.skinning.parents, [-1, 0, 1])
    assert read.contour.nearest(14.0)[0].shape == (17,)
    np.testing.assert_array_equal(read.contour.yaw_deg, [-10.0, 0.0, 20.0])
    assert load_head(_without_joints(tmp_path)).skinning is None


def _without_joints(folder: Path) -> Path:
    save_head(toy_head(), folder / "plain.safetensors")
    return folder / "plain.safetensors"


def test_what_does_not_agree_is_refused() -> None:
    with pytest.raises(ValueError, match="after its parent"):
        replace(skinning(), parents=np.array([-1, 2, 0]))
    with pytest.raises(ValueError, match="must sum to 1"):
        replace(skinning(), weights=2.0 * skinning().weights)
    bones = skinning()
    of_five = replace(bones, weights=bones.weights[:5], correctives=bones.correctives[:, :5])
    with pytest.raises(ValueError, match="rows for"):
        replace(toy_head(), skinning=of_five)
