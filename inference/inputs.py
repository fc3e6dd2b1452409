"""What is read: the images of the command line, each with a folder of its own in the output."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.places import Place, read_part, relative, resolved
from data.image_io import find_images
from inference.report import REPORT_FORMAT, REPORT_NAME

_RESERVED = {REPORT_NAME, "index.html"}

_LONGEST_NAME_BYTES = 200
"""Of each folder of a key, in UTF-8. File systems take 255, and a second input of the same name gets a number behind
its own.
"""


@dataclass(frozen=True)
class InputImage:
    """One file to be read.

    Attributes:
        path: The file.
        key: Its folder in the output, relative, with forward slashes; no two inputs share one.
    """

    path: Place
    key: str


def list_videos(paths: Sequence[Path]) -> list[InputImage]:
    """The videos of a command line, each once; no folder is searched for them.

    Raises:
        FileNotFoundError: If a path does not exist; the message names all that do not.
        ValueError: If one is a folder.
    """
    _refuse_missing(paths)
    taken, inputs = set(_RESERVED), {}
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path}: a folder; --video takes the files themselves, for example {path}/*.mp4")
        inputs.setdefault(path.resolve(), InputImage(path, _free_key(path.name, taken)))
    return list(inputs.values())


def list_inputs(paths: Sequence[Place], output: Place) -> list[InputImage]:
    """Find the images of files and folders (recursively), each once.

    One path that is not there refuses all: a mistyped name should not be found missing after a long run. Results of
    this or an earlier run are not read again, wherever they lie.

    Args:
        paths: Files and folders of the command line.
        output: Where the results go.

    Returns:
        The inputs in a fixed order.

    Raises:
        FileNotFoundError: If a path does not exist; the message names all that do not.
        ValueError: If the output folder is one of the input folders.
    """
    _refuse_missing(paths)
    for path in paths:
        if path.is_dir() and resolved(path) == resolved(output):
            raise ValueError(f"{output}: is both --images and --output; choose another --output")
    earlier_results = _ResultFolders(output)
    real_roots = [root.resolve() for root in paths if isinstance(root, Path) and root.is_dir()]
    inputs: list[InputImage] = []
    seen: set[Place] = set()
    taken = set(_RESERVED)
    for root in paths:
        for path in find_images([root]):
            place = resolved(path.parent) / path.name
            if place in seen or earlier_results.contain(path, root):
                continue
            if path != root and _is_link_into(path, real_roots):
                continue
            seen.add(place)
            name = relative(path, root) if path != root else path.name
            inputs.append(InputImage(path, _free_key(name, taken)))
    return inputs


def _is_link_into(path: Place, real_roots: Sequence[Path]) -> bool:
    """Whether this is a link, not followed, into a folder that was named as well."""
    return (
        isinstance(path, Path)
        and path.is_symlink()
        and path.is_dir()
        and any(map(path.resolve().is_relative_to, real_roots))
    )


def _refuse_missing(paths: Sequence[Place]) -> None:
    # A dangling or looping link exists as a file that cannot be read: it gets its entry in the report.
    missing = [str(path) for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        rest = "" if len(missing) == len(paths) else "; the other paths were not read either: correct or leave out this"
        raise FileNotFoundError(f"{', '.join(missing)}: no such file or folder{rest}")


def _free_key(name: str, taken: set[str]) -> str:
    """A folder name that no other input has, also where upper and lower case are the same."""
    # Names that are not valid text (any bytes are allowed on Linux) could not be written into the report.
    printable = "".join(c if c.isprintable() and c != "\\" else "_" for c in name)
    printable = "/".join(_shortened(part) for part in printable.split("/"))
    key, number = printable, 1
    while key.casefold() in taken:
        number += 1
        key = f"{printable}-{number}"
    taken.add(key.casefold())
    return key


def _shortened(name: str) -> str:
    """A name that file systems take: of a longer one its beginning, a hash, and its suffix."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= _LONGEST_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    suffix = Path(name).suffix if len(Path(name).suffix) <= 8 else ""
    kept = encoded[: _LONGEST_NAME_BYTES - len(digest) - len(suffix.encode()) - 2].decode("utf-8", "ignore")
    return f"{kept}~{digest}{suffix}"


class _ResultFolders:
    """Tells which folders hold results: the output folder, and those with a report of ours."""

    def __init__(self, output: Place) -> None:
        self._output = resolved(output)
        self._known: dict[Place, bool] = {}

    def contain(self, path: Place, root: Place) -> bool:
        """Whether a file lies in a folder of results somewhere below `root`."""
        if path == root:
            return False
        below = relative(path, root).split("/")[:-1]
        folders = [root.joinpath(*below[: depth + 1]) for depth in range(len(below))]
        return any(self._holds_results(folder) for folder in folders)

    def _holds_results(self, folder: Place) -> bool:
        if folder not in self._known:
            self._known[folder] = resolved(folder) == self._output or _has_report(folder)
        return self._known[folder]


def _has_report(folder: Place) -> bool:
    try:
        return json.loads(read_part(folder / REPORT_NAME)).get("format") == REPORT_FORMAT
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
