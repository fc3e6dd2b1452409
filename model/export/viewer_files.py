"""What `index.html` needs to turn heads: `viewer/` once per results folder, and each face's `viewer.js`.

A page that is opened from a disk may not read other files, but it may run scripts; so the data are scripts, too.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from common.atomic import atomic_path
from model.look.atlas import Atlas
from model.look.face_result import FaceResult

VIEWER_FOLDER = "viewer"
FACE_SCRIPT = "viewer.js"
PAGE_FILES = ("viewer.css", "renderer.js", "viewer.js")

_SOURCES = Path(__file__).resolve().parent / "viewer"
_TEXTURE_SIDE_PX, _TEXTURE_QUALITY = 1024, 85
_STEPS = 65535


def write_page_files(folder: Path) -> None:
    """Write the page's style and scripts into `viewer/` below the page's folder."""
    (folder / VIEWER_FOLDER).mkdir(parents=True, exist_ok=True)
    for name in PAGE_FILES:
        _write(folder / VIEWER_FOLDER / name, (_SOURCES / name).read_text(encoding="utf-8"))


def write_head_script(atlas: Atlas, folder: Path) -> None:
    """Write what all faces share, triangles and texture coordinates, as `viewer/head.js` below the page's folder."""
    (folder / VIEWER_FOLDER).mkdir(parents=True, exist_ok=True)
    # The first row of a picture handed to WebGL is v = 0.
    uv = np.stack((atlas.uv[:, 0], 1.0 - atlas.uv[:, 1]), axis=-1)
    shared = {
        "vertex": _base64(atlas.vertex.astype("<u4")),
        "uv": _base64(_steps(uv, np.zeros(2), np.ones(2))),
        "faces": _base64(atlas.faces.astype("<u4")),
    }
    _write(folder / VIEWER_FOLDER / "head.js", f"likeness.setHead({json.dumps(shared)});\n")


def write_face_script(result: FaceResult, texture_srgb: UInt8[np.ndarray, "size size 3"], path: Path) -> None:
    """Write one face, with its expression, for the page.

    Positions are rounded to 1/65535 of the head's extent (0.006 mm), the texture to a JPEG of at most 1024 px.

    Args:
        result: The face.
        texture_srgb: Its texture.
        path: The script.
    """
    lowest, highest = result.vertices_mm.min(0).astype(float), result.vertices_mm.max(0).astype(float)
    face = {
        "lowest": [round(edge, 4) for edge in lowest.tolist()],
        "highest": [round(edge, 4) for edge in highest.tolist()],
        "rotation": [round(value, 6) for value in _rotation_as_seen(result).ravel().tolist()],
        "positions": _base64(_steps(result.vertices_mm, lowest, highest)),
        "texture": _jpeg_address(texture_srgb),
    }
    _write(path, f"likeness.add({json.dumps(face)});\n")


def _rotation_as_seen(result: FaceResult) -> Float[np.ndarray, "3 3"]:
    """The head's rotation towards the ray that sees it, not towards the photograph's middle.

    The page shows each head in the middle of its own picture; a head at the edge of a photograph is seen from
    aside. The smallest rotation that takes the ray to the optical axis (Rodrigues' formula) undoes that.
    """
    ray = result.vertices_camera_mm.mean(0).astype(float)
    x, y, z = ray / np.linalg.norm(ray)
    # The axis times the sine is ray x (0, 0, -1) = (-y, x, 0); the cosine is -z > 0, for the head is in front.
    cross = np.array([[0.0, 0.0, x], [0.0, 0.0, y], [-x, -y, 0.0]])
    towards = np.eye(3) + cross + cross @ cross / (1.0 - z)
    return towards @ result.rotation


def _steps(values: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    extent = np.maximum(highest - lowest, 1e-9)
    return np.rint(_STEPS * np.clip((values - lowest) / extent, 0.0, 1.0)).astype("<u2")


def _jpeg_address(texture_srgb: UInt8[np.ndarray, "size size 3"]) -> str:
    image = Image.fromarray(texture_srgb)
    image.thumbnail((_TEXTURE_SIDE_PX, _TEXTURE_SIDE_PX))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_TEXTURE_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
