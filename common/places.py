"""Files and folders of the user: on this machine, or behind an address such as `s3://bucket/folder`.

What lies on this machine is a `Path`, and nothing about it changes. What lies elsewhere is a path of the package
universal_pathlib, which has the same methods on top of fsspec; each kind of address needs the package that fsspec names
(`s3fs`, `gcsfs`, ...). `file://` is this machine.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from common.errors import describe

if TYPE_CHECKING:
    from upath import UPath

    Place = Path | UPath
else:
    # The package takes a third of a second to load, and is needed where an address is given.
    UPath = Place = Any

# Two letters at least: one is a drive of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_CHANGED = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems call that by which a changed file is known, the surest first."""


def place_of(text: str | os.PathLike[str]) -> Place:
    """The file or folder of a command line.

    Raises:
        ValueError: If it is an address of a kind that is not known, or whose package is missing.
    """
    if isinstance(text, Path) or not _ADDRESS.match(str(text)):
        return Path(text)
    if str(text).lower().startswith("file://"):
        return Path(unquote(urlsplit(str(text)).path))
    from upath import UPath

    try:
        place = UPath(text)
        # It is here that fsspec looks for the package.
        _ = place.fs
    except (ImportError, ValueError) as error:
        raise ValueError(f"{text}: {' '.join(str(error).split())}") from error
    return place


def resolved(place: Place) -> Place:
    """A place under the one name by which it can be compared with others."""
    return place.resolve() if isinstance(place, Path) else place


def relative(place: Place, folder: Place) -> str:
    """The way from a folder to what lies in it, with forward slashes."""
    # Each knows how to leave out a folder of its own kind.
    return place.relative_to(folder).as_posix()  # pyright: ignore[reportArgumentType]


def files_below(folder: Place) -> Iterator[Place]:
    """All files of a folder, sorted; of one that is not here by one listing.

    Raises:
        OSError: If it cannot be listed.
    """
    if isinstance(folder, Path):
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
        return
    root = folder.path.rstrip("/")
    for path in sorted(_told(lambda: folder.fs.find(root), folder)):
        yield folder / path.removeprefix(root).lstrip("/")


def sizes(folder: UPath) -> dict[str, int]:
    """The files right in a folder that is not here, with their sizes in bytes; empty where there is no such folder.

    Raises:
        OSError: If it cannot be listed.
    """
    try:
        found = _told(lambda: folder.fs.ls(folder.path, detail=True), folder)
    except FileNotFoundError:
        return {}
    return {facts["name"].rpartition("/")[2]: facts["size"] for facts in found if facts["type"] == "file"}


def read_part(place: Place, offset: int = 0, byte_count: int | None = None) -> bytes:
    """A part of a file, by default all of it.

    Raises:
        OSError: If it cannot be read.
    """
    if isinstance(place, Path):
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(-1 if byte_count is None else byte_count)
    end = None if byte_count is None else offset + byte_count
    return _told(lambda: place.fs.cat_file(place.path, start=offset, end=end), place)


def stamp(place: Place) -> list[int | str]:
    """Size of a file and what changes with its content: by this a changed file is known.

    Raises:
        OSError: If there is none.
    """
    if isinstance(place, Path):
        status = place.stat()
        return [status.st_size, status.st_mtime_ns]
    facts = _told(lambda: place.fs.info(place.path), place)
    return [facts["size"] or 0, str(next((facts[name] for name in _CHANGED if facts.get(name)), ""))]


def send(files: Sequence[tuple[Path, UPath]]) -> None:
    """Copy files of this machine to where they belong, all at once; each appears there as a whole.

    Raises:
        OSError: If one cannot be written.
    """
    if files:
        fs = files[0][1].fs
        there = [target.path for _, target in files]
        # Stores of objects have no folders, and nothing to do here.
        for folder in {target.parent.path for _, target in files}:
            _told(lambda folder=folder: fs.makedirs(folder, exist_ok=True), files[0][1])
        _told(lambda: fs.put([str(source) for source, _ in files], there), files[0][1])


def remove(places: Sequence[UPath]) -> None:
    """Remove files, all at once.

    Raises:
        OSError: If one cannot be removed.
    """
    if places:
        _told(lambda: places[0].fs.rm([place.path for place in places]), places[0])


def _told(action: Any, place: UPath) -> Any:
    """Do something there; whatever kind of error that packages raise, it comes as an `OSError` in words."""
    try:
        return action()
    except OSError as error:
        if error.strerror:
            raise
        reason = "no such file or folder" if isinstance(error, FileNotFoundError) else describe(error)
        raise type(error)(error.errno or 0, reason, str(place)) from error
    except Exception as error:
        raise OSError(0, describe(error), str(place)) from error
