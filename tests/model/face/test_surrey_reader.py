"""The Surrey Face Model in eos' bytes."""

from pathlib import Path

import numpy as np
import pytest

from model.face.readers import surrey
from model.face.readers.surrey import read_surrey
from tests.model.face.layouts import truth, write_surrey


@pytest.fixture(autouse=True)
def toy_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrey, "POINTS", {k: int(truth().corners68[k]) for k in surrey.POINTS})


def test_mean_components_blendshapes_and_texture_space_are_read(tmp_path: Path) -> None:
    made = truth()
    read = read_surrey(write_surrey(tmp_path, made, blendshapes=True))
    head = read.assets
    np.testing.assert_allclose(head.vertices_mm, made.vertices_mm, atol=1e-4)
    np.testing.assert_array_equal(head.faces, made.faces)
    np.testing.assert_allclose(head.identity_basis, made.identity_mm, atol=1e-4)
    assert head.expression_names == ("anger", "happiness")
    np.testing.assert_allclose(head.expression_basis[1], made.expression_mm[1], atol=1e-6)
    # v of the file points down.
    count = 2 * len(made.vertices_mm) - 1
    np.testing.assert_allclose(head.uv[0], [0.0, 1.0 - 1.0 / count], atol=1e-6)
    assert read.lacks == ("albedo",)
    assert read.known_points[30] == made.corners68[30]


def test_without_blendshapes_it_lacks_expressions(tmp_path: Path) -> None:
    assert read_surrey(write_surrey(tmp_path, truth(), blendshapes=False)).lacks == ("expressions", "albedo")


@pytest.mark.parametrize("length", [0, 3, 40, 2000])
def test_a_file_that_ends_too_early_is_named(tmp_path: Path, length: int) -> None:
    path = write_surrey(tmp_path, truth(), blendshapes=False)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"sfm_shape_3448\.bin: not a model of eos"):
        read_surrey(path)


def test_other_versions_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="version 4; version 1 is read"):
        read_surrey(write_surrey(tmp_path, truth(), blendshapes=False, version=4))
    path = write_surrey(tmp_path, truth(), blendshapes=False)
    # A matrix that claims two thousand million rows.
    path.write_bytes(path.read_bytes()[:4] + b"\xff\xff\xff\x7f" + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="it ends where"):
        read_surrey(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.bin"):
        read_surrey(tmp_path / "absent.bin")
