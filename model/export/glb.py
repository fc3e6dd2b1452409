"""`mesh.glb`: the textured head with its expressions as named morph targets, in metres."""

import io
from pathlib import Path

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import UInt8
from PIL import Image

from common.atomic import atomic_path
from model.export.atlas import Atlas
from model.export.face_result import FaceResult
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals

_M_PER_MM = 0.001
_STILL_M = 1e-5
"""A vertex that an expression moves by less does not count as moved."""


class _Buffer:
    """The binary part of a GLB and the accessors into it."""

    def __init__(self, document: gltf.GLTF2) -> None:
        self._document = document
        self.data = bytearray()

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to four; returns the buffer view."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        view = gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(content), target=target)
        self.data.extend(content)
        self._document.bufferViews.append(view)
        return len(self._document.bufferViews) - 1

    def accessor(self, values: np.ndarray, kind: str, target: int) -> int:
        """Append an array; returns the accessor."""
        component = gltf.UNSIGNED_INT if values.dtype == np.uint32 else gltf.FLOAT
        accessor = gltf.Accessor(
            bufferView=self.view(np.ascontiguousarray(values).tobytes(), target),
            componentType=component,
            count=len(values),
            type=kind,
        )
        if kind == gltf.VEC3:
            accessor.min, accessor.max = values.min(0).tolist(), values.max(0).tolist()
        self._document.accessors.append(accessor)
        return len(self._document.accessors) - 1

    def sparse_accessor(self, displacements_m: np.ndarray) -> int:
        """Append only the rows that move; returns the accessor. Most expressions move a small part of the head."""
        moved = np.flatnonzero(np.abs(displacements_m).max(1) > _STILL_M)
        # glTF wants at least one entry.
        rows = moved if len(moved) else np.array([0])
        values = displacements_m[rows].astype(np.float32)
        still = len(rows) < len(displacements_m)
        bounds = np.concatenate([values, np.zeros((int(still), 3), np.float32)])
        self._document.accessors.append(
            gltf.Accessor(
                byteOffset=None,
                componentType=gltf.FLOAT,
                count=len(displacements_m),
                type=gltf.VEC3,
                min=bounds.min(0).tolist(),
                max=bounds.max(0).tolist(),
                sparse=gltf.Sparse(
                    count=len(rows),
                    indices=gltf.AccessorSparseIndices(
                        bufferView=self.view(rows.astype(np.uint32).tobytes()), componentType=gltf.UNSIGNED_INT
                    ),
                    values=gltf.AccessorSparseValues(bufferView=self.view(values.tobytes())),
                ),
            )
        )
        return len(self._document.accessors) - 1


def write_glb(
    result: FaceResult,
    texture_srgb: UInt8[np.ndarray, "size size 3"],
    morphable_model: MorphableModel,
    atlas: Atlas,
    path: Path,
) -> None:
    """Write the head: the identity is in the mesh, the expression in the weights of the morph targets.

    The camera is in the node's `extras`: rotation, translation in mm and the photograph's intrinsics in px.
    """
    document = gltf.GLTF2(scene=0, scenes=[gltf.Scene(nodes=[0])], asset=gltf.Asset(generator="Likeness"))
    document.extensionsUsed = ["KHR_materials_unlit"]
    buffer = _Buffer(document)
    basis = morphable_model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()
    neutral = result.vertices_mm - np.einsum("e,evx->vx", result.expression, basis)
    normals = vertex_normals(torch.from_numpy(neutral.astype(np.float32))[None], morphable_model.faces.cpu())[0]
    attributes = gltf.Attributes(
        POSITION=_points(buffer, neutral[atlas.vertex]),
        NORMAL=buffer.accessor(normals.numpy()[atlas.vertex], gltf.VEC3, gltf.ARRAY_BUFFER),
        TEXCOORD_0=buffer.accessor(_top_down(atlas.uv), gltf.VEC2, gltf.ARRAY_BUFFER),
    )
    targets = [gltf.Attributes(POSITION=buffer.sparse_accessor(_M_PER_MM * shape[atlas.vertex])) for shape in basis]
    triangles = buffer.accessor(atlas.faces.astype(np.uint32).ravel(), gltf.SCALAR, gltf.ELEMENT_ARRAY_BUFFER)
    document.meshes = [
        gltf.Mesh(
            name="head",
            primitives=[gltf.Primitive(attributes=attributes, indices=triangles, material=0, targets=targets)],
            weights=result.expression.tolist(),
            extras={"targetNames": list(result.expression_names)},
        )
    ]
    camera = {
        "rotation": result.rotation.tolist(),
        "translation_mm": result.translation_mm.tolist(),
        "intrinsics_px": result.intrinsics_px.tolist(),
    }
    document.nodes = [gltf.Node(mesh=0, name="head", extras=camera)]
    _add_material(document, buffer, texture_srgb)
    document.buffers = [gltf.Buffer(byteLength=len(buffer.data))]
    document.set_binary_blob(bytes(buffer.data))
    with atomic_path(path) as temporary:
        document.save_binary(str(temporary))


def _points(buffer: _Buffer, points_mm: np.ndarray) -> int:
    return buffer.accessor((_M_PER_MM * points_mm).astype(np.float32), gltf.VEC3, gltf.ARRAY_BUFFER)


def _top_down(uv: np.ndarray) -> np.ndarray:
    # glTF counts v from the top of the image.
    return np.stack((uv[:, 0], 1.0 - uv[:, 1]), axis=-1).astype(np.float32)


def _add_material(document: gltf.GLTF2, buffer: _Buffer, texture_srgb: UInt8[np.ndarray, "size size 3"]) -> None:
    encoded = io.BytesIO()
    Image.fromarray(texture_srgb).save(encoded, "JPEG", quality=92)
    document.images = [gltf.Image(bufferView=buffer.view(encoded.getvalue()), mimeType="image/jpeg")]
    document.samplers = [gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR)]
    document.textures = [gltf.Texture(source=0, sampler=0)]
    document.materials = [
        gltf.Material(
            name="skin",
            # The texture holds the photograph's own light; lit once more it would be too dark on one side.
            extensions={"KHR_materials_unlit": {}},
            # The neck is open below.
            doubleSided=True,
            pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                baseColorTexture=gltf.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=0.6
            ),
        )
    ]
