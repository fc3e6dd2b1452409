"""Whether Mitsuba can be started here, found out without starting it.

Dr.Jit compiles with an LLVM library of the system. Versions 15 and 16 end the process on scenes with faces (SIGABRT,
which no `except` catches; measured with Dr.Jit 1.5), older ones are refused, so only 19 and later are ever loaded.
"""

import ctypes.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LEAST_LLVM = 19
LLVM_VARIABLE = "DRJIT_LIBLLVM_PATH"
"""Where Dr.Jit is told its LLVM library."""

_HOW_TO_GET = (
    f"Debian and Ubuntu: apt install libllvm{LEAST_LLVM}; macOS: brew install llvm; conda: conda install -c "
    f"conda-forge libllvm{LEAST_LLVM}; elsewhere set {LLVM_VARIABLE} to its library"
)

_FOLDERS = (
    "/usr/lib/*-linux-gnu*",
    "/usr/lib/llvm-*/lib",
    "/usr/lib/llvm*/lib*",
    "/usr/lib64/llvm*/lib*",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/opt/homebrew/opt/llvm*/lib",
    "/usr/local/opt/llvm*/lib",
    "/opt/local/libexec/llvm-*/lib",
    "C:/Program Files/LLVM/bin",
)
_NAMES = ("libLLVM.so*", "libLLVM-*.so*", "libLLVM*.dylib", "LLVM-C.dll")

_PROBE = """
import ctypes, sys
version = ctypes.c_uint()
ctypes.CDLL(sys.argv[1]).LLVMGetVersion(ctypes.byref(version), None, None)
print(version.value)
"""


class MitsubaUnavailableError(RuntimeError):
    """Mitsuba cannot be started here; the message is one line that says what to do."""


@cache
def why_unavailable() -> str | None:
    """Why there are no path-traced pictures here, in one line; None if there are.

    A CUDA device needs no LLVM, but whether its ray tracer starts is known only once it has; `scene.py` falls
    back on LLVM, so this asks for LLVM in any case.
    """
    if find_spec("mitsuba") is None:
        return "path-traced pictures need Mitsuba: pip install mitsuba"
    if find_llvm() is None:
        return f"Mitsuba needs LLVM {LEAST_LLVM} or later, which is not here ({_HOW_TO_GET})"
    return None


@cache
def find_llvm() -> Path | None:
    """The library of an LLVM that Dr.Jit can be started with, the user's own choice first; None if there is none."""
    chosen = os.environ.get(LLVM_VARIABLE)
    own = [Path(chosen)] if chosen else []
    return first_suitable([*own, *installed_libraries()])


def first_suitable(libraries: Iterable[Path]) -> Path | None:
    """The first library of LLVM 19 or later."""
    for library in libraries:
        named = named_version(library)
        # Names are not believed when they promise, but libraries that call themselves too old are not opened.
        if (named is None or named >= LEAST_LLVM) and (loaded_version(library) or 0) >= LEAST_LLVM:
            return library
    return None


def installed_libraries() -> list[Path]:
    """Files that may be an LLVM library, those named after the earliest suitable version first."""
    folders = [Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin"]
    if "CONDA_PREFIX" in os.environ:
        folders.append(Path(os.environ["CONDA_PREFIX"]) / "lib")
    folders += [Path(name) for name in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if name]
    for pattern in _FOLDERS:
        root = Path(pattern).anchor
        if Path(root).is_dir():
            folders += sorted(Path(root).glob(str(Path(pattern).relative_to(root))))
    found = {path.resolve() for folder in folders for name in _NAMES for path in folder.glob(name)}
    by_name = ctypes.util.find_library("LLVM")
    if by_name is not None:
        found.add(Path(by_name))
    return sorted(found, key=lambda path: (named_version(path) or 10_000, str(path)))


def named_version(library: Path) -> int | None:
    """The major version that a library's name or, failing that, its folder tells; None if neither does."""
    match = re.search(r"LLVM(?:\.so\.|-|@)(\d+)", library.name) or re.search(
        r"(?:llvm[-@]?|/llvm/)(\d+)", str(library.parent)
    )
    return int(match.group(1)) if match else None


def loaded_version(library: Path) -> int | None:
    """The major version that a library answers; None if it does not load or is older than 16, the first to answer.

    Asked in a process of its own: two LLVMs in one process get into each other's way.
    """
    command = [sys.executable, "-c", _PROBE, str(library)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=True)
        return int(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
