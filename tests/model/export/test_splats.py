"""Gaussian splats: where they lie, how they are turned and coloured, and a file that reads back."""

from pathlib import Path

import numpy as np
import pytest

from model.export.splats import head_splats, write_splats
from tests.small_parts import RADIUS_MM, ball

REST = np.zeros(1, np.float32)
PICTURE = np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8)
SH_0 = 0.28209479177387814


def turned(quaternions: np.ndarray, vector: np.ndarray) -> np.ndarray:
    w, v = quaternions[:, :1], quaternions[:, 1:]
    across = 2.0 * np.cross(v, vector)
    return vector + w * across + np.cross(v, across)


@pytest.fixture(scope="module")
def splats() -> np.ndarray:
    return head_splats([ball()], REST, {"skin": PICTURE}, count=20_000)


def test_they_cover_the_surface_evenly(splats: np.ndarray) -> None:
    assert len(splats) == 20_000
    np.testing.assert_allclose(np.linalg.norm(splats[:, :3], axis=1), RADIUS_MM, atol=0.2)
    octants = (splats[:, :3] > 0) @ np.array([1, 2, 4])
    np.testing.assert_allclose(np.bincount(octants, minlength=8), 2_500, rtol=0.02)


def test_they_lie_flat_in_the_surface(splats: np.ndarray) -> None:
    quaternions = splats[:, 13:17]
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-5)
    outwards = splats[:, :3] / np.linalg.norm(splats[:, :3], axis=1, keepdims=True)
    thin = turned(quaternions, np.array([0.0, 0.0, 1.0]))
    assert np.einsum("sx,sx->s", thin, outwards).min() > 0.99
    np.testing.assert_allclose(splats[:, 3:6], outwards, atol=0.05)
    sizes_mm = np.exp(splats[:, 10:13])
    np.testing.assert_allclose(sizes_mm[:, 2] / sizes_mm[:, 0], 0.1, rtol=1e-4)
    # Neighbours overlap: their deviation is near their distance, the root of each one's share of the surface.
    apart_mm = np.sqrt(4.0 * np.pi * RADIUS_MM**2 / len(splats))
    assert 0.5 * apart_mm < sizes_mm[0, 0] < apart_mm


def test_they_take_the_colour_of_their_place(splats: np.ndarray) -> None:
    colors = 0.5 + SH_0 * splats[:, 6:9]
    np.testing.assert_allclose(
        colors[splats[:, 1] > 1.0], [[1.0, 0.0, 0.0]] * int((splats[:, 1] > 1.0).sum()), atol=1e-5
    )
    np.testing.assert_allclose(colors[splats[:, 1] < -1.0].mean(0), [0.0, 0.0, 1.0], atol=1e-5)


def test_what_a_picture_cuts_out_has_none_and_an_expression_moves_them() -> None:
    cut = np.concatenate((PICTURE, np.array([[[255]], [[0]]], np.uint8)), axis=-1)
    shown = head_splats([ball()], np.ones(1, np.float32), {"skin": cut}, count=4_000)
    assert 1_900 < len(shown) < 2_100
    assert shown[:, 1].min() > 9.0
    assert 49.0 < shown[:, 1].max() < 50.5


def test_a_reader_of_ply_finds_them(splats: np.ndarray, tmp_path: Path) -> None:
    write_splats(splats, tmp_path / "splats.ply")
    content = (tmp_path / "splats.ply").read_bytes()
    header, body = content.split(b"end_header\n", 1)
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property float")]
    assert names[:3] == ["x", "y", "z"]
    assert {"f_dc_0", "opacity", "scale_2", "rot_0", "rot_3"} <= set(names)
    assert b"element vertex 20000" in header
    np.testing.assert_array_equal(np.frombuffer(body, "<f4").reshape(-1, len(names)), splats)
