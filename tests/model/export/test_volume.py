"""Volumes: distances to bodies whose distances are known, what is inside, and files that read back in place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.export.volume import Volume, head_volume, write_volume
from tests.small_parts import RADIUS_MM, ball

REST = np.zeros(1, np.float32)


def places_mm(volume: Volume) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.distance_mm.shape), indexing="ij"), axis=-1)
    return volume.origin_mm + volume.spacing_mm * index


@pytest.fixture(autouse=True)
def _packages() -> None:
    pytest.importorskip("igl")
    pytest.importorskip("nrrd")


def test_a_ball_has_the_distances_of_a_ball() -> None:
    volume = head_volume([ball()], REST, spacing_mm=4.0)
    expected = np.linalg.norm(places_mm(volume), axis=-1) - RADIUS_MM
    # The ball is made of flat triangles, which lie a little inside it.
    np.testing.assert_allclose(volume.distance_mm, expected, atol=0.15)
    assert (volume.distance_mm[0] > 0).all()
    assert (volume.distance_mm[:, -1] > 0).all()


def test_what_is_open_below_has_an_inside() -> None:
    volume = head_volume([ball(open_below_mm=-25.0)], REST, spacing_mm=4.0)
    at_mm = places_mm(volume)
    from_center = np.linalg.norm(at_mm, axis=-1)
    assert (volume.distance_mm[(from_center < 36.0) & (at_mm[..., 1] > -15.0)] < 0).all()
    assert (volume.distance_mm[from_center > 44.0] > 0).all()


def test_it_follows_the_expression_and_joins_the_parts() -> None:
    lifted = head_volume([ball(), ball(name="hair")], np.ones(1, np.float32), spacing_mm=4.0)
    expected = np.linalg.norm(places_mm(lifted) - np.array([0.0, 10.0, 0.0]), axis=-1) - RADIUS_MM
    # Two balls in one place: inside of both is inside.
    np.testing.assert_allclose(lifted.distance_mm, expected, atol=0.15)


def test_what_is_buried_is_no_surface() -> None:
    inner = ball(name="eyes")
    smaller = replace(inner, vertices_mm=0.5 * inner.vertices_mm)
    volume = head_volume([ball(), smaller], REST, spacing_mm=4.0)
    expected = np.linalg.norm(places_mm(volume), axis=-1) - RADIUS_MM
    np.testing.assert_allclose(volume.distance_mm, expected, atol=0.15)


def test_both_files_hold_it_in_its_place(tmp_path: Path) -> None:
    import nrrd

    volume = head_volume([ball()], np.ones(1, np.float32), spacing_mm=5.0)
    write_volume(volume, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volume.npz", "volume.nrrd"]
    with np.load(tmp_path / "volume.npz") as arrays:
        np.testing.assert_allclose(arrays["distance_mm"], volume.distance_mm, rtol=1e-3)
        np.testing.assert_array_equal(arrays["origin_mm"], volume.origin_mm)
        assert float(arrays["spacing_mm"]) == 5.0
    values, header = nrrd.read(str(tmp_path / "volume.nrrd"))
    np.testing.assert_array_equal(values, volume.distance_mm)
    # The deepest point of the lifted ball is at its centre: 10 mm up, which is the third axis of medical viewers.
    deepest = np.array(np.unravel_index(values.argmin(), values.shape))
    at_mm = header["space origin"] + deepest @ header["space directions"]
    np.testing.assert_allclose(at_mm, [0.0, 0.0, 10.0], atol=4.5)
    assert np.linalg.det(header["space directions"]) > 0
