import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from model.face.assets import HeadAssets, load_head, save_head
from model.face.morphable_model import MorphableModel
from tests.small_world import toy_head


def assert_same_head(loaded: HeadAssets, saved: HeadAssets, tolerance: float) -> None:
    for field in dataclasses.fields(HeadAssets):
        a, b = getattr(loaded, field.name), getattr(saved, field.name)
        if isinstance(b, np.ndarray):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=field.name)
    assert loaded.expression_names == saved.expression_names
    assert loaded.landmarks.keys() == saved.landmarks.keys()
    for name, points in saved.landmarks.items():
        np.testing.assert_array_equal(loaded.landmarks[name].face, points.face)
        np.testing.assert_array_equal(loaded.landmarks[name].barycentric, points.barycentric)
    assert loaded.regions.keys() == saved.regions.keys()
    for name, mask in saved.regions.items():
        np.testing.assert_array_equal(loaded.regions[name], mask)
        assert loaded.regions[name].dtype == bool


@pytest.mark.parametrize(("half", "tolerance"), [(False, 0.0), (True, 1e-3)])
def test_round_trip(tmp_path: Path, half: bool, tolerance: float) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors", half=half)
    assert_same_head(load_head(tmp_path / "head.safetensors"), toy_head(), tolerance)


def test_the_mean_person_comes_back_and_may_be_missing(tmp_path: Path) -> None:
    center = np.linspace(-1.3, 2.1, 6, dtype=np.float32)
    save_head(dataclasses.replace(toy_head(), identity_center=center), tmp_path / "with.safetensors")
    # In full, also where the components are halved.
    loaded = load_head(tmp_path / "with.safetensors")
    assert loaded.identity_center is not None
    np.testing.assert_array_equal(loaded.identity_center, center)
    np.testing.assert_array_equal(MorphableModel(loaded).identity_center.numpy(), center)
    save_head(toy_head(), tmp_path / "without.safetensors")
    loaded = load_head(tmp_path / "without.safetensors")
    assert loaded.identity_center is None
    np.testing.assert_array_equal(MorphableModel(loaded).identity_center.numpy(), np.zeros(6))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(5,), (7,), (1, 6)])
def test_a_mean_person_of_another_length_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="identity_center"):
        dataclasses.replace(toy_head(), identity_center=np.zeros(shape, np.float32))
    path = tmp_path / "head.safetensors"
    save_head(dataclasses.replace(toy_head(), identity_center=np.zeros(6, np.float32)), path)
    tensors = load_file(path)
    tensors["identity_center"] = np.zeros(shape, np.float32)
    save_file(tensors, path, metadata=metadata_of(path))
    with pytest.raises(ValueError, match="identity_center") as refused:
        load_head(path)
    assert str(path) in str(refused.value)


def test_half_precision_is_smaller_and_keeps_the_mean(tmp_path: Path) -> None:
    for half in (False, True):
        save_head(toy_head(), tmp_path / f"{half}.safetensors", half=half)
    assert (tmp_path / "True.safetensors").stat().st_size < 0.7 * (tmp_path / "False.safetensors").stat().st_size
    np.testing.assert_array_equal(load_head(tmp_path / "True.safetensors").vertices_mm, toy_head().vertices_mm)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the run-time types of the tests: users see the refusals that the code itself makes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("identity_basis", lambda a: a[:, :-1], "identity_basis"),
        ("expression_basis", lambda a: a[:-1], "expression_names"),
        ("albedo_basis", lambda a: a[..., :2], "albedo_basis"),
        ("albedo_mean", lambda a: a[:-1], "albedo_mean"),
        ("faces", lambda a: a + 1, "faces"),
        ("faces", lambda a: a - 1, "faces"),
        ("uv_faces", lambda a: a[:-1], "uv_faces"),
        ("uv_faces", lambda a: a + 10_000, "uv_faces"),
        ("mirror", lambda a: a[:-1], "mirror"),
        ("mirror", lambda a: a + 10_000, "mirror"),
        ("vertices_mm", lambda a: np.where(a == a[3], np.nan, a), "vertices_mm"),
        ("landmarks.ibug68.face", lambda a: a + 10_000, "landmarks.ibug68.face"),
        ("landmarks.ibug68.barycentric", lambda a: 2 * a, "landmarks.ibug68.barycentric"),
        ("landmarks.ibug68.barycentric", lambda a: a[:-1], "landmarks.ibug68"),
        ("region.lips", lambda a: a[:-1], "region"),
    ],
)
def test_a_wrong_array_is_refused_by_file_and_name(tmp_path: Path, name: str, change: Any, message: str) -> None:
    path = tmp_path / "head.safetensors"
    save_head(toy_head(), path)
    tensors = load_file(path)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, path, metadata=metadata_of(path))
    with pytest.raises(ValueError, match=message) as refused:
        load_head(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["faces", "vertices_mm", "mirror", "albedo_basis", "landmarks.ibug68.barycentric"])
def test_a_missing_array_is_refused_by_file_and_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "head.safetensors"
    save_head(toy_head(), path)
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path, metadata=metadata_of(path))
    with pytest.raises(ValueError, match=name) as refused:
        load_head(path)
    assert str(path) in str(refused.value)


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


def test_a_missing_file_says_where_the_default_head_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="likeness-head"):
        load_head(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"no safetensors file", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_head(path)


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match="likeness-head-1"):
        load_head(path)


def test_expression_names_that_are_not_json_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save_head(toy_head(), path)
    save_file(load_file(path), path, metadata=metadata_of(path) | {"expression_names": "jawOpen"})
    with pytest.raises(ValueError, match=str(path)):
        load_head(path)
