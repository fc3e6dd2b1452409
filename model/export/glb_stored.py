"""Reading a `mesh.glb` that `model.export.glb` wrote, to write it again with another shape."""

import copy
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from jaxtyping import Float, Int

from common.mesh_options import PoseKind
from model.export.glb_buffer import GlbBuffer
from model.export.glb_skeleton import M_PER_MM, POSE_NODE
from model.face.skeleton import JOINT_NAMES

_KINDS = {gltf.FLOAT: "<f4", gltf.UNSIGNED_INT: "<u4", gltf.UNSIGNED_BYTE: "<u1"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MAGIC, _HEADER = b"glTF", 20


@dataclass(frozen=True)
class StoredMaterial:
    """A material of a file, with its textures as they are.

    Attributes:
        material: As the file states it.
        images: The encoded pictures and their kinds, by the number of the texture.
    """

    material: dict[str, Any]
    images: dict[int, tuple[bytes, str]]

    @property
    def lit(self) -> bool:
        """Whether the viewer lights it."""
        return "KHR_materials_unlit" not in self.material.get("extensions", {})

    @property
    def needs_tangents(self) -> bool:
        """Whether it has a normal map."""
        return "normalTexture" in self.material

    @property
    def cut_out(self) -> bool:
        """Whether its texture says where there is something."""
        return self.material.get("alphaMode") == gltf.MASK

    def add_to(self, document: gltf.GLTF2, buffer: GlbBuffer, name: str) -> int:
        """Put the material and its textures into a document; returns its number there."""
        stated = copy.deepcopy(self.material)
        numbers: dict[int, int] = {}
        for place in _texture_places(stated):
            before = place["index"]
            if before not in numbers:
                numbers[before] = buffer.texture(*self.images[before])
            place["index"] = numbers[before]
        document.materials.append(gltf.Material.from_dict({**stated, "name": name}))  # pyright: ignore[reportAttributeAccessIssue]
        document.extensionsUsed = sorted({*document.extensionsUsed, *stated.get("extensions", {})})
        return len(document.materials) - 1


@dataclass(frozen=True)
class StoredPart:
    """A mesh of a file; lengths in mm, texture coordinates with v up, as in `MeshPart`."""

    name: str
    vertices_mm: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    uv: Float[np.ndarray, "vertex 2"]
    morphs_mm: Float[np.ndarray, "expression vertex 3"]
    joint_weights: Float[np.ndarray, "vertex joint"]
    material: StoredMaterial


@dataclass(frozen=True)
class StoredHead:
    """What a file holds.

    Attributes:
        parts: Its meshes.
        pose: How its head stands.
        picture_px: Width and height of the photograph.
    """

    parts: list[StoredPart]
    pose: PoseKind
    picture_px: tuple[int, int]


def read_glb(path: Path) -> StoredHead:
    """Read a head.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of ours, or its joints do what its blendshapes lack; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run infer.py with --formats glb npz")
    content = path.read_bytes()
    try:
        if content[:4] != _MAGIC:
            raise ValueError("no binary glTF")
        (length,) = struct.unpack_from("<I", content, 12)
        reader = _Reader(json.loads(content[_HEADER : _HEADER + length]), content[_HEADER + length + 8 :])
        document = reader.document
        if any("driven_by" in node.get("extras", {}) for node in document["nodes"]):
            raise ValueError("its joints open the jaw (--rig bones); make it with --rig shapes")
        (pose,) = (node for node in document["nodes"] if node.get("name") == POSE_NODE)
        lens = document["cameras"][0]["extras"]
        return StoredHead(
            [reader.part(number) for number in range(len(document["meshes"]))],
            "photograph" if "rotation" in pose else "front",
            (lens["width_px"], lens["height_px"]),
        )
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise ValueError(f"{path}: not a head as infer.py writes it now ({error})") from error


@dataclass(frozen=True)
class _Reader:
    """The two parts of a file."""

    document: dict[str, Any]
    blob: bytes

    def part(self, number: int) -> StoredPart:
        mesh = self.document["meshes"][number]
        (primitive,) = mesh["primitives"]
        attributes = {name: self.values(accessor) for name, accessor in primitive["attributes"].items()}
        weights = np.zeros((len(attributes["POSITION"]), len(JOINT_NAMES)), np.float32)
        np.add.at(weights, (np.arange(len(weights))[:, None], attributes["JOINTS_0"]), attributes["WEIGHTS_0"])
        morphs = np.stack([self.values(target["POSITION"]) for target in primitive["targets"]])
        return StoredPart(
            mesh["name"],
            (attributes["POSITION"] / M_PER_MM).astype(np.float32),
            self.values(primitive["indices"]).reshape(-1, 3).astype(np.int64),
            np.stack((attributes["TEXCOORD_0"][:, 0], 1.0 - attributes["TEXCOORD_0"][:, 1]), -1),
            (morphs / M_PER_MM).astype(np.float32),
            weights,
            self._material(primitive["material"]),
        )

    def values(self, number: int) -> np.ndarray:
        """The rows of an accessor, sparse ones put in."""
        accessor = self.document["accessors"][number]
        kind, width = _KINDS[accessor["componentType"]], _WIDTHS[accessor["type"]]
        rows = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), kind, accessor["count"], width).copy()
        if sparse := accessor.get("sparse"):
            index = self._rows(sparse["indices"]["bufferView"], 0, "<u4", sparse["count"], 1)[:, 0]
            rows[index] = self._rows(sparse["values"]["bufferView"], 0, kind, sparse["count"], width)
        return rows

    def _rows(self, view: int, offset: int, kind: str, count: int, width: int) -> np.ndarray:
        start = self.document["bufferViews"][view].get("byteOffset", 0) + offset
        return np.frombuffer(self.blob, kind, count * width, start).reshape(count, width)

    def _material(self, number: int) -> StoredMaterial:
        material = self.document["materials"][number]
        images = {}
        for place in _texture_places(material):
            image = self.document["images"][self.document["textures"][place["index"]]["source"]]
            view = self.document["bufferViews"][image["bufferView"]]
            start = view.get("byteOffset", 0)
            images[place["index"]] = (self.blob[start : start + view["byteLength"]], image["mimeType"])
        return StoredMaterial(material, images)


def _texture_places(stated: Any) -> list[dict[str, Any]]:
    """Wherever a material refers to a texture, in extensions as well."""
    if not isinstance(stated, dict):
        return []
    own = [value for name, value in stated.items() if name.endswith("Texture")]
    return own + [place for value in stated.values() for place in _texture_places(value)]
