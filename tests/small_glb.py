"""A reader of GLB files that follows the format's own rules: morph targets first, then the skeleton."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

_KINDS = {5126: "<f4", 5125: "<u4", 5121: "<u1"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Glb:
    """The two parts of a file."""

    document: dict
    blob: bytes

    @classmethod
    def read(cls, path: Path) -> "Glb":
        content = path.read_bytes()
        (length,) = struct.unpack_from("<I", content, 12)
        return cls(json.loads(content[20 : 20 + length]), content[28 + length :])

    def values(self, number: int) -> np.ndarray:
        """The rows of an accessor, sparse ones put in."""
        accessor = self.document["accessors"][number]
        kind, width = _KINDS[accessor["componentType"]], _WIDTHS[accessor["type"]]
        rows = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), kind, accessor["count"], width).copy()
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            index = self._rows(sparse["indices"]["bufferView"], 0, "<u4", sparse["count"], 1)[:, 0]
            rows[index] = self._rows(sparse["values"]["bufferView"], 0, kind, sparse["count"], width)
        return rows

    def _rows(self, view: int, offset: int, kind: str, count: int, width: int) -> np.ndarray:
        start = self.document["bufferViews"][view].get("byteOffset", 0) + offset
        return np.frombuffer(self.blob, kind, count * width, start).reshape(count, width)

    def node(self, name: str) -> dict:
        """The one node of that name."""
        (found,) = (node for node in self.document["nodes"] if node.get("name") == name)
        return found

    def mesh(self, name: str) -> dict:
        """The one mesh of that name."""
        (found,) = (mesh for mesh in self.document["meshes"] if mesh["name"] == name)
        return found

    def world(self, number: int) -> np.ndarray:
        """A node's matrix, with those of all nodes above it."""
        nodes = self.document["nodes"]
        above = next((parent for parent, node in enumerate(nodes) if number in node.get("children", [])), None)
        own = local(nodes[number])
        return own if above is None else self.world(above) @ own

    def points(self, name: str, weights: dict[str, float] | None = None) -> np.ndarray:
        """The vertices of a part in the scene, m.

        Args:
            name: Of the part.
            weights: Of its expressions; by default the file's own.
        """
        mesh, node = self.mesh(name), self.node(name)
        (primitive,) = mesh["primitives"]
        names = mesh["extras"]["targetNames"]
        shown = dict(zip(names, mesh["weights"], strict=True)) if weights is None else weights
        points = self.values(primitive["attributes"]["POSITION"]).astype(np.float64)
        for target, target_name in zip(primitive["targets"], names, strict=True):
            if shown.get(target_name):
                points = points + shown[target_name] * self.values(target["POSITION"])
        skin = self.document["skins"][node["skin"]]
        # Stored column by column.
        inverse = self.values(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1).astype(np.float64)
        joints = np.stack([self.world(joint) for joint in skin["joints"]]) @ inverse
        share = self.values(primitive["attributes"]["WEIGHTS_0"]).astype(np.float64)
        blended = np.einsum("vk,vkij->vij", share, joints[self.values(primitive["attributes"]["JOINTS_0"])])
        return np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]


def local(node: dict) -> np.ndarray:
    """A node's own matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(node.get("rotation", (0.0, 0.0, 0.0, 1.0))).as_matrix()
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
