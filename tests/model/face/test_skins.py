from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from model.face.skins import SKINS_FORMAT, load_skins


def write(path: Path, skins: np.ndarray, form: str = SKINS_FORMAT) -> Path:
    save_file({"skins_sqrt": skins}, path, metadata={"format": form})
    return path


def test_skins_come_back_as_they_are_stored(tmp_path: Path) -> None:
    skins = np.random.default_rng(0).integers(0, 256, (4, 11, 3)).astype(np.uint8)
    loaded = load_skins(write(tmp_path / "skins.safetensors", skins), 11)
    assert loaded.dtype == torch.uint8
    np.testing.assert_array_equal(loaded.numpy(), skins)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors.*tools\.learn_albedo --skins"):
        load_skins(tmp_path / "none.safetensors", 11)


@pytest.mark.parametrize(
    ("skins", "message"),
    [
        (np.zeros((4, 10, 3), np.uint8), r"\(4, 10, 3\)"),
        (np.zeros((0, 11, 3), np.uint8), r"\(0, 11, 3\)"),
        (np.zeros((4, 11, 4), np.uint8), r"\(4, 11, 4\)"),
        (np.zeros((11, 3), np.uint8), r"\(11, 3\)"),
        (np.zeros((4, 11, 3), np.float32), "float32"),
    ],
)
def test_skins_of_another_head_or_type_are_refused_by_file(tmp_path: Path, skins: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=rf"skins\.safetensors: skins are .*{message}"):
        load_skins(write(tmp_path / "skins.safetensors", skins), 11)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "other.safetensors", np.zeros((1, 11, 3), np.uint8), "likeness-head-1")
    with pytest.raises(ValueError, match=r"other\.safetensors: format is 'likeness-head-1'"):
        load_skins(path, 11)
    path.write_bytes(b"no safetensors file")
    with pytest.raises(ValueError, match=r"other\.safetensors: not a safetensors file"):
        load_skins(path, 11)


def test_a_file_without_skins_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    save_file({"something": np.zeros(3, np.uint8)}, path, metadata={"format": SKINS_FORMAT})
    with pytest.raises(ValueError, match=r"empty\.safetensors"):
        load_skins(path, 11)
