"""Reading a head back from the `mesh.glb` that Likeness wrote, so that it can be animated and lit anew."""

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from jaxtyping import Float
from PIL import Image

from model.export.glb_skeleton import M_PER_MM, POSE_NODE
from model.pictures.part_view import PicturePart

_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}


_Parsed = Any
"""pygltflib's classes, in which every field may be None: what a head of ours has and a file lacks raises, and the file
is refused."""


class HeadFileError(ValueError):
    """A file that is no head of ours; the message names it, says what is wrong and what to do."""


@dataclass(frozen=True)
class GlbHead:
    """A head as its GLB has it.

    Attributes:
        document: The file, to which an animation may be added.
        parts: Its meshes.
        expression_names: Of their morph targets.
        expression: The photograph's weights.
        rotation: Model space to camera space, in the photograph.
        translation_mm: Model origin in camera space.
        intrinsics_px: The photograph's camera.
        by_bones: Whether joints open the jaw and turn the eyes (`--rig bones`): the morph targets alone do not, then.
    """

    document: gltf.GLTF2
    parts: tuple[PicturePart, ...]
    expression_names: tuple[str, ...]
    expression: Float[np.ndarray, " expression"]
    rotation: Float[np.ndarray, "3 3"]
    translation_mm: Float[np.ndarray, "3"]
    intrinsics_px: Float[np.ndarray, "3 3"]
    by_bones: bool

    def refuse_bones(self, path: Path) -> None:
        """Refuse a head whose pictures would lack what its joints do.

        Args:
            path: What the message calls it.

        Raises:
            HeadFileError: If joints open its jaw.
        """
        if self.by_bones:
            raise HeadFileError(f"{path}: made with --rig bones, of which no pictures are drawn; make it without")


def read_glb_head(path: Path) -> GlbHead:
    """Read a head.

    Args:
        path: A `mesh.glb`, or the folder of a face that holds one.

    Raises:
        HeadFileError: If there is none.
    """
    place = path / "mesh.glb" if path.is_dir() else path
    if not place.is_file():
        raise HeadFileError(f"{path}: holds no mesh.glb; name the folder of a face that infer.py wrote, with its GLB")
    try:
        document = gltf.GLTF2().load_binary(str(place))
        return _head(document)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration, struct.error) as error:
        told = " ".join(str(error).split())
        raise HeadFileError(
            f"{place}: is no head of this version of Likeness ({told}); make it again with infer.py"
        ) from error


def _head(document: _Parsed) -> GlbHead:
    pose = next(node for node in document.nodes if node.name == POSE_NODE)
    names = tuple(document.meshes[0].extras["targetNames"])
    return GlbHead(
        document=document,
        parts=tuple(_part(document, mesh) for mesh in document.meshes),
        expression_names=names,
        expression=np.array(document.meshes[0].weights, np.float32),
        rotation=np.array(pose.extras["rotation"], np.float32),
        translation_mm=np.array(pose.extras["translation_mm"], np.float32),
        intrinsics_px=np.array(pose.extras["intrinsics_px"], np.float32),
        by_bones=any("driven_by" in (node.extras or {}) for node in document.nodes),
    )


def _part(document: _Parsed, mesh: _Parsed) -> PicturePart:
    primitive = mesh.primitives[0]
    material = document.materials[primitive.material]
    surface = material.pbrMetallicRoughness
    uv = accessor_values(document, primitive.attributes.TEXCOORD_0)
    normal = None if material.normalTexture is None else _picture(document, material.normalTexture.index, "RGB")
    masked = material.alphaMode == "MASK"
    # Where roughness is a texture, the skin's: its mean is near enough for a picture.
    roughness = 0.45 if surface.metallicRoughnessTexture is not None else surface.roughnessFactor
    targets = [target if isinstance(target, dict) else json.loads(target.to_json()) for target in primitive.targets]
    morphs = [accessor_values(document, target["POSITION"]) for target in targets]
    return PicturePart(
        name=mesh.name or "",
        vertices_mm=accessor_values(document, primitive.attributes.POSITION) / M_PER_MM,
        faces=accessor_values(document, primitive.indices).reshape(-1, 3).astype(np.int32),
        uv=np.stack((uv[:, 0], 1.0 - uv[:, 1]), axis=1),
        morphs_mm=np.stack(morphs) / np.float32(M_PER_MM),
        color_srgb=_picture(document, surface.baseColorTexture.index, "RGBA" if masked else "RGB"),
        roughness=float(roughness),
        lit="KHR_materials_unlit" not in (material.extensions or {}),
        normal=normal,
        cutoff=float(material.alphaCutoff) if masked else None,
    )


def accessor_values(document: _Parsed, number: int) -> np.ndarray:
    """What an accessor holds, a row an element, with its sparse rows; of the file's own binary part."""
    accessor = document.accessors[number]
    width, kind = _TYPES[accessor.type], np.dtype(_COMPONENTS[accessor.componentType])
    values = np.zeros((accessor.count, width), kind)
    if accessor.bufferView is not None:
        view = document.bufferViews[accessor.bufferView]
        stride = view.byteStride or width * kind.itemsize
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        content = np.frombuffer(document.binary_blob(), np.uint8)
        rows = np.lib.stride_tricks.as_strided(
            content[start:], (accessor.count, width * kind.itemsize), (stride, 1), writeable=False
        )
        values[:] = np.ascontiguousarray(rows).view(kind)
    if accessor.sparse is not None:
        indices, moved = accessor.sparse.indices, accessor.sparse.values
        places = _view(document, indices.bufferView, indices.byteOffset or 0, _COMPONENTS[indices.componentType])
        rows = _view(document, moved.bufferView, moved.byteOffset or 0, kind)[: accessor.sparse.count * width]
        values[places[: accessor.sparse.count]] = rows.reshape(-1, width)
    return values


def _view(document: _Parsed, number: int, offset: int, kind: np.dtype | type) -> np.ndarray:
    view = document.bufferViews[number]
    start = (view.byteOffset or 0) + offset
    size = view.byteLength - offset
    return np.frombuffer(document.binary_blob(), np.dtype(kind), size // np.dtype(kind).itemsize, start)


def _picture(document: _Parsed, texture: int, mode: str) -> np.ndarray:
    image = document.images[document.textures[texture].source]
    view = document.bufferViews[image.bufferView]
    start = view.byteOffset or 0
    encoded = document.binary_blob()[start : start + view.byteLength]
    return np.array(Image.open(io.BytesIO(encoded)).convert(mode))
