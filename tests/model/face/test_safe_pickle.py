"""Pickles that others wrote give arrays; whatever else they ask for is refused, and nothing of it is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from model.face.readers.safe_pickle import as_array, read_npy_of_objects, read_pickle


class Hostile:
    """A pickle of it calls what it names when it is read."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def write(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    content = {
        "floats": np.arange(6.0).reshape(2, 3),
        "column by column": np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3)),
        "scalar": np.float32(2.5),
        "list": [1, 2.0, "text"],
    }
    read = read_pickle(write(tmp_path / "plain.pkl", content, protocol))
    np.testing.assert_array_equal(read["floats"], content["floats"])
    np.testing.assert_array_equal(read["column by column"], content["column by column"])
    assert read["scalar"] == 2.5
    assert read["list"] == [1, 2.0, "text"]


@pytest.mark.parametrize("kind", [csc_matrix, csr_matrix, coo_matrix])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sparse_matrices_become_dense(tmp_path: Path, kind: type, protocol: int) -> None:
    dense = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
    read = read_pickle(write(tmp_path / "sparse.pkl", {"J": kind(dense)}, protocol))
    np.testing.assert_array_equal(as_array(read["J"], "J"), dense)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "ran"
    for number, call in enumerate((os.system, eval, exec)):
        word = f"touch {witness}" if call is os.system else f"open({str(witness)!r}, 'w')"
        path = write(tmp_path / f"hostile{number}.pkl", {"v_template": Hostile(call, word)}, protocol)
        with pytest.raises(ValueError, match=rf"hostile{number}\.pkl.*which is no array; nothing of it was run"):
            read_pickle(path)
    assert not witness.exists()


def test_no_way_around_is_left_open(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    # Numpy's and chumpy's names lead to stand-ins; their attributes and deeper names lead nowhere.
    names = [("numpy", "load"), ("numpy.core.multiarray", "_reconstruct.__globals__"), ("builtins", "getattr"),
             ("numpy", "ndarray.tofile"), ("scipy.sparse", "csc_matrix"), ("functools", "partial")]  # fmt: skip
    for number, (module, name) in enumerate(names):
        path = tmp_path / f"name{number}.pkl"
        path.write_bytes(b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)])
                         + name.encode() + b"\x93.")  # fmt: skip
        with pytest.raises(ValueError, match="no array"):
            read_pickle(path)
    # A stand-in that is called makes an object that can do nothing.
    path = tmp_path / "call.pkl"
    path.write_bytes(b"cchumpy.utils\nsystem\n(S'touch " + str(witness).encode() + b"'\ntR.")
    with pytest.raises(ValueError, match="x is an expression of chumpy's"):
        as_array(read_pickle(path), "x")
    assert not witness.exists()


def test_huge_sizes_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "huge.pkl"
    path.write_bytes(b"cnumpy\nndarray\n(I999999999999\ntR.")
    with pytest.raises(ValueError, match=r"huge\.pkl: not a pickle of arrays"):
        read_pickle(path)


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x04", b"\x80\x04]q\x00(K\x01"])
def test_what_is_no_pickle_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.pkl").write_bytes(data)
    with pytest.raises(ValueError, match=r"broken\.pkl: not a pickle of arrays"):
        read_pickle(tmp_path / "broken.pkl")
    with pytest.raises(FileNotFoundError, match=r"absent\.pkl"):
        read_pickle(tmp_path / "absent.pkl")


def test_a_dictionary_in_an_npy_file_is_read_as_carefully(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.array({"a": np.arange(3)}, dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(read_npy_of_objects(tmp_path / "good.npy")["a"], [0, 1, 2])
    np.save(tmp_path / "plain.npy", np.arange(4))
    np.testing.assert_array_equal(read_npy_of_objects(tmp_path / "plain.npy"), np.arange(4))
    witness = tmp_path / "ran"
    hostile = np.array({"a": Hostile(os.system, f"touch {witness}")}, dtype=object)
    np.save(tmp_path / "hostile.npy", hostile, allow_pickle=True)
    with pytest.raises(ValueError, match=r"hostile\.npy.*nothing of it was run"):
        read_npy_of_objects(tmp_path / "hostile.npy")
    assert not witness.exists()
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(ValueError, match=r"text\.npy: not an \.npy file"):
        read_npy_of_objects(tmp_path / "text.npy")


def test_what_holds_no_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="weights holds no numbers"):
        as_array(["a", "b"], "weights")
