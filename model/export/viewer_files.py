"""What `index.html` needs to turn heads: `viewer/` once per results folder, and each face's `viewer.js`.

A page that is opened from a disk may not read other files, but it may run scripts; so the data are scripts, too.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from common.atomic import atomic_path
from model.export.mesh_part import MeshPart
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


def write_head_script(atlases: Sequence[Atlas], folder: Path) -> None:
    """Write what all faces share, triangles and texture coordinates of each part, as `viewer/head.js`.

    Args:
        atlases: Texture spaces of the head's parts.
        folder: Of the page.
    """
    (folder / VIEWER_FOLDER).mkdir(parents=True, exist_ok=True)
    shared = [
        {"name": atlas.part, "vertex": _base64(atlas.vertex.astype("<u4"))} | _texture_space(atlas.uv, atlas.faces)
        for atlas in atlases
    ]
    _write(folder / VIEWER_FOLDER / "head.js", f"likeness.setHead({json.dumps(shared)});\n")


def write_face_script(
    result: FaceResult,
    textures_srgb: Mapping[str, UInt8[np.ndarray, "_ _ _"]],
    path: Path,
    own_parts: Sequence[MeshPart] = (),
) -> None:
    """Write one face, with its expression, for the page.

    Positions are rounded to 1/65535 of the head's extent (0.006 mm), the textures to JPEGs or WebPs of at most 1024 px.

    Args:
        result: The face.
        textures_srgb: The texture of each part, by name.
        path: The script.
        own_parts: Parts that other faces do not share: their vertices are not the head model's. Each has a texture.
    """
    own = [(part, part.posed_mm(result.expression)) for part in own_parts]
    everything = np.concatenate([result.vertices_mm, *(posed for _, posed in own)])
    lowest, highest = everything.min(0).astype(float), everything.max(0).astype(float)
    face = {
        "lowest": [round(edge, 4) for edge in lowest.tolist()],
        "highest": [round(edge, 4) for edge in highest.tolist()],
        "rotation": [round(value, 6) for value in _rotation_as_seen(result).ravel().tolist()],
        "positions": _base64(_steps(result.vertices_mm, lowest, highest)),
        "textures": {name: _image_address(texture) for name, texture in textures_srgb.items()},
        "parts": [
            {
                "name": part.name,
                "vertex": _base64(part.welded.astype("<u4")),
                "positions": _base64(_steps(_welded(part, posed), lowest, highest)),
            }
            | _texture_space(part.uv, part.faces)
            for part, posed in own
        ],
    }
    _write(path, f"likeness.add({json.dumps(face)});\n")


def _texture_space(uv: Float[np.ndarray, "split 2"], faces: Int[np.ndarray, "face 3"]) -> dict[str, str]:
    # The first row of a picture handed to WebGL is v = 0.
    from_top = np.stack((uv[:, 0], 1.0 - uv[:, 1]), axis=-1)
    return {"uv": _base64(_steps(from_top, np.zeros(2), np.ones(2))), "faces": _base64(faces.astype("<u4"))}


def _welded(part: MeshPart, posed_mm: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "whole 3"]:
    """One row for each number of `welded`."""
    places = np.zeros((int(part.welded.max()) + 1, 3), np.float32)
    places[part.welded] = posed_mm
    return places


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


def _image_address(texture_srgb: UInt8[np.ndarray, "size size channel"]) -> str:
    """A JPEG; a WebP where a fourth channel says what is cut out, which JPEG cannot hold."""
    image = Image.fromarray(texture_srgb)
    image.thumbnail((_TEXTURE_SIDE_PX, _TEXTURE_SIDE_PX))
    encoded = io.BytesIO()
    kind = "webp" if texture_srgb.shape[2] == 4 else "jpeg"
    image.save(encoded, kind.upper(), quality=_TEXTURE_QUALITY)
    return f"data:image/{kind};base64," + base64.b64encode(encoded.getvalue()).decode()


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
