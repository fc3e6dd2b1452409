"""Writing files so that a reader never sees half of one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.places import Place, send


@contextmanager
def atomic_path(path: Place) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    The temporary keeps the suffix, since many writers choose the format by it. Of a path that is not on this machine
    the temporary is, and it is sent there as a whole.
    """
    if not isinstance(path, str | Path):
        with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            send([(temporary, path)])
        return
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is as readable as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(name: str) -> str:
    """The pattern of the temporaries of a file, which are left where a process is killed while it writes."""
    path = Path(name)
    return f".{path.stem}-*{path.suffix}"
