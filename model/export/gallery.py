"""`index.html`: every input file and its faces on one page that needs no network."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from common.atomic import atomic_path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
article { border-top: 1px solid #ddd; padding: 1rem 0; }
img { max-width: 100%; border-radius: 4px; }
.bad { color: #a33; }
"""


@dataclass(frozen=True)
class GalleryRow:
    """One input file.

    Attributes:
        name: The file as it was given.
        status: `ok`, `no_face`, `unreadable`, ...
        message: What is to be said about it; may be empty.
        face_folders: Folders of its faces, relative to the page.
    """

    name: str
    status: str
    message: str
    face_folders: tuple[str, ...]


def write_gallery(rows: Sequence[GalleryRow], path: Path) -> None:
    """Write the page, atomically.

    Args:
        rows: Input files in the order of the page.
        path: The page; pictures are referred to relative to its folder.
    """
    found = sum(len(row.face_folders) for row in rows)
    body = "\n".join(_row(row, path.parent) for row in rows)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Likeness</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>Likeness</h1>\n"
        f"<p>{found} faces in {len(rows)} files.</p>\n{body}\n</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _row(row: GalleryRow, folder: Path) -> str:
    status = "" if row.status == "ok" else f' <span class="bad">{html.escape(row.status)}</span>'
    message = f"<p>{html.escape(row.message)}</p>" if row.message else ""
    faces = "\n".join(_face(face, folder) for face in row.face_folders)
    return f"<article><h2>{html.escape(row.name)}{status}</h2>{message}\n{faces}</article>"


def _face(face_folder: str, folder: Path) -> str:
    names = sorted(child.name for child in (folder / face_folder).glob("*") if child.is_file())
    links = " ".join(f'<a href="{_link(face_folder, name)}">{html.escape(name)}</a>' for name in names)
    picture = f'<img src="{_link(face_folder, "overlay.jpg")}" alt="">' if "overlay.jpg" in names else ""
    return f"<section>{picture}<p>{links}</p></section>"


def _link(face_folder: str, name: str) -> str:
    return html.escape(quote(f"{face_folder}/{name}"))
