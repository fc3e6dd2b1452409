"""`Outlet`: where results go. They are made in a folder of this machine; what belongs elsewhere is sent there from it.

An image is sent when it is finished: its files first, its record last, so that whoever finds a record finds all files.
Stores of objects show a file when it is whole. The copy here is removed then, so that the disk holds no more than what
is under way.
"""

import re
import shutil
import tempfile
from pathlib import Path

from common.places import Place, UPath, files_below, relative, remove, send
from inference.resume import RECORD_NAME

FACE_FOLDER = re.compile(r"face(\d+)")
"""Names of the folders of faces in that of their image."""


class Outlet:
    """The folder in which results are made, and the way from there to where they belong."""

    def __init__(self, output: Place) -> None:
        """Make the folder: the output itself where it is on this machine.

        Args:
            output: Where the results belong.

        Raises:
            OSError: If it cannot be made.
        """
        self._there: UPath | None = None
        if isinstance(output, Path):
            self.folder = output
            output.mkdir(parents=True, exist_ok=True)
        else:
            self._there = output
            # Removed with this object, or when the program ends.
            self._temporary = tempfile.TemporaryDirectory(prefix="likeness-", ignore_cleanup_errors=True)
            self.folder = Path(self._temporary.name)

    def send_image(self, key: str) -> None:
        """Send what there is of an image, and remove what an earlier run left of it where it belongs.

        Args:
            key: The image's folder.

        Raises:
            OSError: If that cannot be done.
        """
        if self._there is None:
            return
        folder, there = self.folder / key, self._there / key
        try:
            new = [name for path in files_below(folder) if _is_of_image(name := relative(path, folder))]
            left = [relative(path, there) for path in files_below(there)]
            # Without its record, what is half sent is not taken for finished.
            remove([there / name for name in left if name == RECORD_NAME])
            remove([there / name for name in left if _is_of_image(name) and name not in (*new, RECORD_NAME)])
            send([(folder / name, there / name) for name in new if name != RECORD_NAME])
            send([(folder / name, there / name) for name in new if name == RECORD_NAME])
        finally:
            # Other images may lie below the same folder.
            (folder / RECORD_NAME).unlink(missing_ok=True)
            for face in folder.glob("face*") if folder.is_dir() else ():
                shutil.rmtree(face, ignore_errors=True)

    def send_rest(self) -> None:
        """Send what belongs to no single image: report, page, and what the page needs.

        Raises:
            OSError: If that cannot be done.
        """
        if self._there is not None:
            names = [relative(path, self.folder) for path in files_below(self.folder)]
            visible = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
            send([(self.folder / name, self._there / name) for name in visible])


def _is_of_image(name: str) -> bool:
    return name == RECORD_NAME or FACE_FOLDER.fullmatch(name.partition("/")[0]) is not None
