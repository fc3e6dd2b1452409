from pathlib import Path

import numpy as np
import pytest
import torch

from common.tensors import open_tensors, read_tensors, save_tensors

ARRAYS = {"half": np.arange(6, dtype=np.float16).reshape(2, 3), "whole": np.array([1, 2], np.int32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_tensors(ARRAYS, tmp_path / "a.safetensors", {"format": "mine-1", "said": "more"})
    return tmp_path / "a.safetensors"


def test_arrays_come_back_as_either_kind(path: Path) -> None:
    arrays, metadata = read_tensors(path, "mine-1", framework="numpy")
    assert metadata == {"format": "mine-1", "said": "more"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    tensors, _ = read_tensors(path)
    assert torch.equal(tensors["half"], torch.from_numpy(ARRAYS["half"]))


def test_tensors_are_written_as_arrays_are(path: Path, tmp_path: Path) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    save_tensors(tensors, tmp_path / "b.safetensors")
    again, metadata = read_tensors(tmp_path / "b.safetensors", framework="numpy")
    assert metadata == {}
    np.testing.assert_array_equal(again["half"], ARRAYS["half"])


def test_a_part_can_be_read_alone(path: Path) -> None:
    file, _ = open_tensors(path, needed=("half", "whole"))
    assert file.get_slice("half")[:1].tolist() == [[0.0, 1.0, 2.0]]


def test_what_is_no_such_file_is_named_with_what_to_do(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such thing; draw one"):
        open_tensors(tmp_path / "none.safetensors", missing="no such thing; draw one")
    with pytest.raises(ValueError, match=r"a\.safetensors: format is 'mine-1', expected 'yours-1'; draw again"):
        open_tensors(path, "yours-1", remedy="draw again")
    with pytest.raises(ValueError, match=r"a\.safetensors: lacks other, third$"):
        open_tensors(path, needed=("third", "half", "other"))
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"a\.safetensors: not a safetensors file .*; draw again"):
        read_tensors(path, remedy="draw again")
