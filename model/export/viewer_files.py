"""What `index.html` needs to turn heads: `viewer/` once per results folder, and each face's `viewer.js`.

A page that is opened from a disk may not read other files, but it may run scripts; so the data are scripts, too.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.spatial import KDTree

from common.atomic import atomic_path
from model.export.mesh_part import MeshPart
from model.export.picture_files import encoded_jpeg, encoded_webp
from model.face.morphable_model import MorphableModel
from model.look.atlas import Atlas
from model.look.caricature import region_weights
from model.look.face_result import FaceResult
from model.look.head_look import HeadLook
from model.look.materials import statistical_materials

VIEWER_FOLDER = "viewer"
FACE_SCRIPT = "viewer.js"
PAGE_FILES = ("viewer.css", "renderer.js", "viewer.js")

_SOURCES = Path(__file__).resolve().parent / "viewer"
_TEXTURE_SIDE_PX, _TEXTURE_QUALITY, _NORMAL_QUALITY = 1024, 85, 90
_STILL_MM = 0.02
"""A vertex that an expression moves by less stays where it is on the page."""
_SIGNED_STEPS = 32767
_STEPS = 65535


def write_page_files(folder: Path) -> None:
    """Write the page's style and scripts into `viewer/` below the page's folder."""
    (folder / VIEWER_FOLDER).mkdir(parents=True, exist_ok=True)
    for name in PAGE_FILES:
        _write(folder / VIEWER_FOLDER / name, (_SOURCES / name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class PageTexture:
    """What covers a part of a head on the page.

    Attributes:
        photograph_srgb: With the photograph's own light. A fourth channel says where there is something.
        albedo_srgb: Without light.
        normal: Tangent-space normals; None for a part without any.
    """

    photograph_srgb: UInt8[np.ndarray, "_ _ _"]
    albedo_srgb: UInt8[np.ndarray, "_ _ _"]
    normal: UInt8[np.ndarray, "_ _ 3"] | None = None


def page_textures(look: HeadLook) -> dict[str, PageTexture]:
    """What the page needs of a face's textures; of the parts only the skin has relief."""
    parts = {name: PageTexture(texture.image_srgb, texture.albedo_srgb) for name, texture in look.parts.items()}
    return {"skin": PageTexture(look.skin.image_srgb, look.skin.albedo_srgb, look.skin.normal), **parts}


def write_head_script(morphable_model: MorphableModel, atlases: Sequence[Atlas], folder: Path) -> None:
    """Write what all faces share, as `viewer/head.js`.

    Triangles and texture coordinates of each part, roughness of the vertices, what each expression moves, in steps of
    1/32767 of its largest displacement, and for caricatures the mean person and how far each vertex is in each region.

    Args:
        morphable_model: The head.
        atlases: Texture spaces of the head's parts.
        folder: Of the page.
    """
    (folder / VIEWER_FOLDER).mkdir(parents=True, exist_ok=True)
    mean_mm = morphable_model.neutral_mm(morphable_model.identity_center[None])[0].cpu().numpy()
    lowest, highest = mean_mm.min(0).astype(float), mean_mm.max(0).astype(float)
    shared = {
        "mean": {
            "positions": _base64(_steps(mean_mm, lowest, highest)),
            "lowest": lowest.tolist(),
            "highest": highest.tolist(),
        },
        "regions": {name: _base64(_bytes(share)) for name, share in region_weights(morphable_model).items()},
        "parts": [
            {"name": atlas.part, "vertex": _base64(atlas.vertex.astype("<u4"))} | _texture_space(atlas.uv, atlas.faces)
            for atlas in atlases
        ],
        "roughness": _base64(_bytes(statistical_materials(morphable_model).roughness.cpu().numpy())),
        "expressions": [
            _expression(name, moved_mm)
            for name, moved_mm in zip(morphable_model.expression_names, _expressions_mm(morphable_model), strict=True)
        ],
    }
    _write(folder / VIEWER_FOLDER / "head.js", f"likeness.setHead({json.dumps(shared)});\n")


def write_face_script(
    result: FaceResult,
    look: HeadLook,
    path: Path,
    own_parts: Sequence[tuple[MeshPart, PageTexture]] = (),
    mean_placement: Float[np.ndarray, "4 3"] | None = None,
) -> None:
    """Write one face at rest, and its expression, for the page.

    Positions are rounded to 1/65535 of the head's extent (0.006 mm), the textures to JPEGs or WebPs of at most 1024 px.

    Args:
        result: The face.
        look: Its shape and textures. The page moves the head model's lips, which do not touch at rest, so these open by
            up to half a millimetre more than the GLB's.
        path: The script.
        own_parts: Parts that other faces do not share, their vertices are not the head model's, and what covers them.
        mean_placement: What puts the mean person onto this one (`model.look.caricature`); None for a head that the page
            cannot exaggerate.
    """
    own = [(part, part.posed_mm(result.expression)) for part, _ in own_parts]
    textures = page_textures(look) | {part.name: texture for part, texture in own_parts}
    rest_mm = look.shape.rest_mm
    everything = np.concatenate([rest_mm, *(posed for _, posed in own)])
    lowest, highest = everything.min(0).astype(float), everything.max(0).astype(float)
    face = {
        "lowest": [round(edge, 4) for edge in lowest.tolist()],
        "highest": [round(edge, 4) for edge in highest.tolist()],
        "rotation": [round(value, 6) for value in _rotation_as_seen(result).ravel().tolist()],
        "positions": _base64(_steps(rest_mm, lowest, highest)),
        "weights": [round(weight, 4) for weight in result.expression.tolist()],
        "occlusion": _base64(_bytes(look.skin.vertex_occlusion)),
        "meanPlacement": None if mean_placement is None else mean_placement.round(7).ravel().tolist(),
        "textures": {name: _addresses(texture) for name, texture in textures.items()},
        "parts": [
            {
                "name": part.name,
                "vertex": _base64(part.welded.astype("<u4")),
                "positions": _base64(_steps(_welded(part, posed), lowest, highest)),
                # The head's vertex with which each of the part goes along where the page exaggerates the head.
                "follows": _base64(KDTree(rest_mm).query(_welded(part, posed))[1].astype("<u4")),
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


def _addresses(texture: PageTexture) -> dict[str, str]:
    """The pictures as addresses that hold them."""
    addresses = {
        "photograph": _image_address(texture.photograph_srgb, _TEXTURE_QUALITY),
        "albedo": _image_address(texture.albedo_srgb, _TEXTURE_QUALITY),
    }
    if texture.normal is not None:
        addresses["normal"] = _image_address(texture.normal, _NORMAL_QUALITY)
    return addresses


def _image_address(picture: UInt8[np.ndarray, "height width channel"], quality: int) -> str:
    """A JPEG; a WebP where a fourth channel says what is cut out, which JPEG cannot hold."""
    largest = max(picture.shape[:2])
    if largest > _TEXTURE_SIDE_PX:
        scale = _TEXTURE_SIDE_PX / largest
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    kind, encoded = ("webp", encoded_webp) if picture.shape[2] == 4 else ("jpeg", encoded_jpeg)
    return f"data:image/{kind};base64," + base64.b64encode(encoded(picture, quality)).decode()


def _expressions_mm(morphable_model: MorphableModel) -> Float[np.ndarray, "expression vertex 3"]:
    """By how much each expression moves each vertex at weight 1."""
    return morphable_model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()


def _expression(name: str, moved_mm: Float[np.ndarray, "vertex 3"]) -> dict[str, object]:
    """Which vertices an expression moves, and by how much."""
    moved = np.flatnonzero(np.abs(moved_mm).max(1) > _STILL_MM)
    largest = max(float(np.abs(moved_mm).max()), _STILL_MM)
    steps = np.rint(moved_mm[moved] * (_SIGNED_STEPS / largest)).astype("<i2")
    return {
        "name": name,
        "largest": round(largest, 5),
        "vertex": _base64(moved.astype("<u4")),
        "moved": _base64(steps),
    }


def _bytes(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.rint(255.0 * np.clip(values, 0.0, 1.0)).astype(np.uint8)


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
