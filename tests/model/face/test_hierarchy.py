from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.face.hierarchy import MeshHierarchy, load_hierarchy, save_hierarchy
from tests.small_world import toy_hierarchy


def test_a_file_brings_back_what_was_saved(tmp_path: Path) -> None:
    save_hierarchy(toy_hierarchy(), tmp_path / "h.safetensors")
    loaded = load_hierarchy(tmp_path / "h.safetensors")
    assert (loaded.vertex_count, loaded.head_sha256) == (toy_hierarchy().vertex_count, toy_hierarchy().head_sha256)
    for got, wanted in zip(loaded.levels, toy_hierarchy().levels, strict=True):
        for name in ("vertices", "edges", "parents", "weights"):
            np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_files_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="build_hierarchy"):
        load_hierarchy(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing")
    with pytest.raises(ValueError, match=r"text\.safetensors"):
        load_hierarchy(tmp_path / "text.safetensors")


@pytest.mark.parametrize(("field", "message"), [("parents", "parents"), ("edges", "edges"), ("vertices", "vertices")])
def test_indices_that_point_nowhere_are_refused(field: str, message: str) -> None:
    level = toy_hierarchy().levels[0]
    broken = replace(level, **{field: getattr(level, field) + 10_000})
    with pytest.raises(ValueError, match=f"level 1: {message}"):
        MeshHierarchy(toy_hierarchy().vertex_count, "", (broken,))


def test_weights_that_are_no_mean_are_refused() -> None:
    level = toy_hierarchy().levels[0]
    with pytest.raises(ValueError, match="sum to 1"):
        MeshHierarchy(toy_hierarchy().vertex_count, "", (replace(level, weights=2 * level.weights),))
