"""`index.html`: every input file and its faces on one page that needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from os.path import commonprefix
from pathlib import Path, PurePath
from urllib.parse import quote

from common.atomic import atomic_path
from model.export.viewer_files import FACE_SCRIPT, PAGE_FILES, VIEWER_FOLDER, write_page_files

_OVERLAY = "overlay.jpg"
_FILES = {
    "mesh.glb": "GLB",
    "mesh.obj": "OBJ",
    "mesh_neutral.obj": "neutral OBJ",
    "mesh.usdz": "USD",
    "face.npz": "NPZ",
    "texture.png": "texture",
    _OVERLAY: "overlay",
    "diffuse.png": "diffuse",
    "specular.png": "specular",
    "roughness.png": "roughness",
    "normal.png": "normals",
    "environment.exr": "environment",
    "lights.json": "lights",
    "before_after.jpg": "before and after",
    "relit.jpg": "relit",
    "path_traced.png": "path-traced",
    "refinement.json": "refinement",
    "history.csv": "history",
}
"""What is offered, in this order; what these files themselves refer to is not."""

_STRIPS = {
    "before_after.jpg": "Photograph, rendering before and after refinement, albedo, shading and error",
    "relit.jpg": "The head in other light",
    "path_traced.png": "The head, path-traced",
}
"""What is shown below a head where it is there, and what it shows."""

_HINT = "Drag a head to turn it and the yellow lamp to light it; point at a photograph to see the geometry."
_MORE = (
    "Click a head, and the mouse wheel brings it nearer; a double click puts it back. Keys: arrows, +, &minus; and 0 "
    "for the head that was clicked; L (lit), U (unlit: the photograph&rsquo;s own light), C (clay), H (hair) and "
    "F (frontal) for all. Heads are shown as the ray from the camera to them sees them; yaw, pitch and roll are those "
    "in the photograph, relative to the camera&rsquo;s axis."
)

_EXPRESSIONS = (
    '<details class="expressions"><summary>Expressions</summary><p>'
    '<button type="button" data-expression="neutral">Neutral</button> '
    '<button type="button" data-expression="photograph">As photographed</button></p>'
    '<div class="sliders"></div></details>'
)
_CARICATURE = (
    '<details class="caricature"><summary>Caricature</summary><p><button type="button">As they are</button> '
    "0 is the mean person, 1 the person&rsquo;s own shape.</p>"
    '<div class="sliders"></div></details>'
)


@dataclass(frozen=True)
class GalleryFace:
    """One face on the page.

    Attributes:
        folder: The folder of its files, relative to the page.
        yaw_pitch_roll_degrees: Pose of the head relative to the photograph's camera.
        files: Names of the files in it; None for those that are found there.
    """

    folder: str
    yaw_pitch_roll_degrees: tuple[float, float, float]
    files: frozenset[str] | None = None


@dataclass(frozen=True)
class GalleryRow:
    """One input file.

    Attributes:
        name: The file as it was given.
        status: `ok`, `no_face`, `unreadable`, ...
        message: What is to be said about it; may be empty.
        faces: Its faces.
    """

    name: str
    status: str
    message: str
    faces: tuple[GalleryFace, ...]


def write_gallery(rows: Sequence[GalleryRow], path: Path) -> None:
    """Write the page, atomically, and its style and scripts beside it.

    Args:
        rows: Input files in the order of the page.
        path: The page; files are referred to relative to its folder.
    """
    folder = path.parent
    write_page_files(folder)
    above = _shared_folders([row.name for row in rows])
    faces = [_face(row, index, folder, above) for row in rows for index in range(len(row.faces))]
    style, *scripts = [f"{VIEWER_FOLDER}/{name}" for name in PAGE_FILES]
    page = "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>Likeness</title>\n<link rel="stylesheet" href="{style}">\n</head>\n<body>',
            _header(len(faces), len(rows)),
            '<main class="faces">',
            *faces,
            "</main>",
            _others(rows, above),
            *(f'<script src="{script}"></script>' for script in scripts),
            "</body>\n</html>\n",
        )
    )
    with atomic_path(path) as temporary:
        # File names need not be text on Linux; what is not becomes a mark instead of an error.
        temporary.write_bytes(page.encode("utf-8", errors="xmlcharrefreplace"))


def _header(faces: int, files: int) -> str:
    modes = "".join(
        f'<button type="button" data-mode="{name}" aria-pressed="{"true" if name == "lit" else "false"}">'
        f"{name.capitalize()}</button>"
        for name in ("lit", "unlit", "clay")
    )
    buttons = (
        f'{modes}<button type="button" data-toggle="hair" aria-pressed="true">Hair</button>'
        '<button type="button" data-toggle="frontal" aria-pressed="false">Frontal</button>'
    )
    count = f"{faces} {'face' if faces == 1 else 'faces'} in {files} {'file' if files == 1 else 'files'}"
    toggles = f'<div class="toggles">{buttons}</div>'
    hint = (
        f'<details class="hint"><summary>{_HINT}<span class="more" title="More about it">?</span></summary>'
        f"<p>{_MORE}</p></details>"
    )
    return f"<header><h1>Likeness</h1><p>{count}</p>{toggles}{hint}{_EXPRESSIONS}{_CARICATURE}</header>"


def _shared_folders(names: Sequence[str]) -> int:
    """How many leading parts of their paths all files share: the folder that holds them all."""
    return len(commonprefix([PurePath(name).parent.parts for name in names]))


def _short(name: str, above: int) -> str:
    return PurePath(*PurePath(name).parts[above:]).as_posix()


def _face(row: GalleryRow, index: int, folder: Path, above: int) -> str:
    face = row.faces[index]
    names = face.files
    if names is None:
        names = frozenset(child.name for child in (folder / face.folder).glob("*") if child.is_file())
    parent, _, file = _short(row.name, above).rpartition("/")
    title = (f'<span class="folder">{escape(parent)}/</span>' if parent else "") + escape(file)
    spoken = _short(row.name, above)
    if len(row.faces) > 1:
        title += f' <span class="folder">face {index + 1} of {len(row.faces)}</span>'
        spoken += f", face {index + 1} of {len(row.faces)}"
    viewer = ""
    if FACE_SCRIPT in names:
        viewer = f' data-viewer="{_link(face.folder, FACE_SCRIPT)}" data-label="{escape(f"Head of {spoken}")}"'
    picture = ""
    if _OVERLAY in names:
        image = f'<img src="{_link(face.folder, _OVERLAY)}" alt="{escape(f"Photograph and head of {spoken}")}"'
        picture = f'<a class="overlay" href="{_link(face.folder, _OVERLAY)}">{image} loading="lazy"></a>'
    links = " ".join(
        f'<a href="{_link(face.folder, name)}" title="{name}">{label}</a>'
        for name, label in _FILES.items()
        if name in names
    )
    yaw, pitch, roll = (f"{angle:+.0f}°".replace("-", "\N{MINUS SIGN}") for angle in face.yaw_pitch_roll_degrees)
    pose = f"in the photograph: yaw {yaw} &ensp;pitch {pitch} &ensp;roll {roll}"
    return (
        f'<article class="face"{viewer}>\n<div class="pictures">{picture}</div>\n{_strips(face.folder, names, spoken)}'
        f'<div class="about"><h3 title="{escape(row.name)}">{title}</h3>'
        f'<p class="pose">{pose}</p><p class="files">{links}</p></div>\n</article>'
    )


def _strips(face_folder: str, names: frozenset[str], spoken: str) -> str:
    return "".join(
        f'<a class="strip" href="{_link(face_folder, name)}"><img src="{_link(face_folder, name)}" '
        f'alt="{escape(f"{shown}: {spoken}")}" loading="lazy"></a>\n'
        for name, shown in _STRIPS.items()
        if name in names
    )


def _others(rows: Sequence[GalleryRow], above: int) -> str:
    """The files about which something is to be said: without a face, failed in part, or damaged and read anyway."""
    lines = [
        f'<tr><th scope="row" title="{escape(row.name)}">{escape(_short(row.name, above))}</th>'
        f'<td class="status">{escape(row.status.replace("_", " "))}</td>'
        f"<td>{escape(row.message)}</td></tr>"
        for row in rows
        if row.status != "ok" or not row.faces or row.message
    ]
    if not lines:
        return ""
    return "<section><h2>Other files</h2>\n<table>\n" + "\n".join(lines) + "\n</table></section>"


def _link(face_folder: str, name: str) -> str:
    return escape(quote(f"{face_folder}/{name}"))
