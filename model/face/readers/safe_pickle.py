"""Arrays out of pickles that were written by others: nothing in such a file is run.

A pickle may name any function and have it called. Here a name is looked up in a short table: NumPy's arrays and dtypes,
and stand-ins that only remember what they were given, for chumpy's arrays and SciPy's sparse matrices. Any other name
is refused. So FLAME's files are read without chumpy, and a hostile file runs nothing.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix


class _Remembered:
    """What stands in for an object of somebody's class: its state, and nothing that it could do."""

    kind = ""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.state = arguments, {}

    def __setstate__(self, state: Any) -> None:
        # State with slots comes as a pair.
        found = state[0] if isinstance(state, tuple) and state else state
        self.state = found if isinstance(found, dict) else {}


class _Chumpy(_Remembered):
    kind = "chumpy"


class _Csc(_Remembered):
    kind = "csc"


class _Csr(_Remembered):
    kind = "csr"


class _Coo(_Remembered):
    kind = "coo"


class _ArrayType:
    """What `numpy.ndarray` is to a pickle: a name that it hands over. NumPy's own could be called with any size."""


def _made(kind: type, base: type = object, state: Any = None) -> Any:
    """What `copyreg._reconstructor` does, for stand-ins alone."""
    if not (isinstance(kind, type) and issubclass(kind, _Remembered)):
        raise pickle.UnpicklingError(f"it wants to make an object of {kind!r}")
    return kind()


def _new(kind: type, *arguments: Any) -> Any:
    """What `copyreg.__newobj__` does, for stand-ins alone."""
    return _made(kind)


def _empty_array(kind: type, shape: Any = (0,), dtype: Any = b"b") -> np.ndarray:
    """What NumPy's `_reconstruct` does; the shape that counts comes with the array's bytes."""
    return np.ndarray((0,))


def _from_buffer(data: Any, dtype: np.dtype, shape: Any, order: str = "C") -> np.ndarray:
    """What NumPy's `_frombuffer` does; protocol 5 stores arrays so."""
    if dtype.hasobject:
        raise pickle.UnpicklingError("objects in a buffer")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: np.dtype, data: bytes = b"") -> Any:
    if dtype.hasobject or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a scalar that is no number")
    return np.frombuffer(data, dtype, 1)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What `_codecs.encode` does; Python 3 writes bytes so for old protocols."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
    return text.encode("latin1")


_BY_NAME: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}
_BY_NAME |= {(f"{core}.multiarray", "_reconstruct"): _empty_array for core in ("numpy.core", "numpy._core")}
_BY_NAME |= {(f"{core}.multiarray", "scalar"): _scalar for core in ("numpy.core", "numpy._core")}
_BY_NAME |= {(f"{core}.numeric", "_frombuffer"): _from_buffer for core in ("numpy.core", "numpy._core")}
_BY_NAME |= {(home, "_reconstructor"): _made for home in ("copy_reg", "copyreg")}
_BY_NAME |= {(home, "__newobj__"): _new for home in ("copy_reg", "copyreg")}
_BY_NAME |= {(home, "object"): object for home in ("__builtin__", "builtins")}
for _name, _kind in (("csc", _Csc), ("csr", _Csr), ("coo", _Coo)):
    for _home in (f"scipy.sparse.{_name}", f"scipy.sparse._{_name}"):
        _BY_NAME[_home, f"{_name}_matrix"] = _kind


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _BY_NAME:
            return _BY_NAME[module, name]
        if module.partition(".")[0] == "chumpy":
            return _Chumpy
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array; nothing of it was run")


def read_pickle(path: Path) -> Any:
    """What a pickle holds: dictionaries, lists, texts and numbers, arrays, and what `as_array` makes arrays of.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no pickle, or asks for anything that is not an array; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return _unpickled(path.read_bytes(), path)


def _unpickled(data: bytes, path: Path) -> Any:
    try:
        # Python 2 wrote these files: its texts are bytes to Python 3.
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except MemoryError as error:
        raise ValueError(f"{path}: not a pickle of arrays: it asks for more memory than there is") from error
    except Exception as error:
        # A broken pickle raises whatever its opcodes stumble over.
        raise ValueError(f"{path}: not a pickle of arrays: {error or type(error).__name__}") from error


def read_npy_of_objects(path: Path) -> Any:
    """What an .npy file holds whose array is one of objects, such as a dictionary; read as `read_pickle` reads.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such file; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    data = io.BytesIO(path.read_bytes())
    try:
        version = np.lib.format.read_magic(data)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(data)
    except ValueError as error:
        raise ValueError(f"{path}: not an .npy file ({error})") from error
    if not dtype.hasobject:
        return np.load(path, allow_pickle=False)
    content = _unpickled(data.read(), path)
    return content.item() if isinstance(content, np.ndarray) and shape == () else content


def as_array(value: Any, name: str) -> np.ndarray:
    """An array out of what was read: of NumPy, of chumpy, of SciPy (made dense), or of nested lists of numbers.

    Args:
        value: What `read_pickle` gave.
        name: What errors call it.

    Raises:
        ValueError: If it holds no numbers, or is an expression of chumpy's that would have to be computed.
    """
    if isinstance(value, _Chumpy):
        inner = value.state.get("x")
        if not isinstance(inner, np.ndarray):
            raise ValueError(f"{name} is an expression of chumpy's and no array")
        value = inner
    elif isinstance(value, _Remembered):
        value = _dense(value, name)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds no numbers ({array.dtype})")
    return array


def _dense(value: _Remembered, name: str) -> np.ndarray:
    state = value.state
    shape = state.get("_shape", state.get("shape"))
    makers = {"csc": csc_matrix, "csr": csr_matrix, "coo": coo_matrix}
    try:
        if value.kind == "coo":
            coordinates = state["coords"] if "coords" in state else (state["row"], state["col"])
            matrix = coo_matrix((state["data"], coordinates), shape=shape)
        else:
            matrix = makers[value.kind]((state["data"], state["indices"], state["indptr"]), shape=shape)
        return matrix.toarray()
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{name} is a broken sparse matrix ({error})") from error
