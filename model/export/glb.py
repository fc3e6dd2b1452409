"""`mesh.glb`: the textured head with its expressions as named morph targets, in metres."""

from pathlib import Path

import numpy as np
import pygltflib as gltf
import torch

from common.atomic import atomic_path
from model.export.glb_buffer import GlbBuffer
from model.export.glb_material import GlbMaterial
from model.face.morphable_model import MorphableModel
from model.geometry.mesh import vertex_normals
from model.look.atlas import Atlas
from model.look.face_result import FaceResult
from model.look.tangents import vertex_tangents

_M_PER_MM = 0.001
_STILL_NORMAL = 0.003
"""A normal that an expression turns by less (0.2 degrees) does not count as turned."""


def write_glb(
    result: FaceResult,
    material: GlbMaterial,
    morphable_model: MorphableModel,
    atlas: Atlas,
    path: Path,
) -> None:
    """Write the head: the identity is in the mesh, the expression in the weights of the morph targets.

    The camera is in the node's `extras`: rotation, translation in mm and the photograph's intrinsics in px.

    Args:
        result: The face.
        material: What covers it.
        morphable_model: Its head.
        atlas: Its texture space.
        path: The file.
    """
    document = gltf.GLTF2(scene=0, scenes=[gltf.Scene(nodes=[0])], asset=gltf.Asset(generator="Likeness"))
    buffer = GlbBuffer(document)
    basis = morphable_model.expression_basis.unflatten(-1, (-1, 3)).cpu().numpy()
    neutral = result.vertices_mm - np.einsum("e,evx->vx", result.expression, basis)
    normals = _normals(neutral, morphable_model)
    attributes = gltf.Attributes(
        POSITION=_points(buffer, neutral[atlas.vertex]),
        NORMAL=buffer.accessor(normals[atlas.vertex], gltf.VEC3, gltf.ARRAY_BUFFER),
        TEXCOORD_0=buffer.accessor(_top_down(atlas.uv), gltf.VEC2, gltf.ARRAY_BUFFER),
    )
    if material.needs_tangents:
        tangents = vertex_tangents(neutral[atlas.vertex], normals[atlas.vertex], atlas.uv, atlas.faces)
        attributes.TANGENT = buffer.accessor(tangents, gltf.VEC4, gltf.ARRAY_BUFFER)
    targets = [gltf.Attributes(POSITION=buffer.sparse_accessor(_M_PER_MM * shape[atlas.vertex])) for shape in basis]
    if material.lit:
        for target, shape in zip(targets, basis, strict=True):
            turned = _normals(neutral + shape, morphable_model) - normals
            target.NORMAL = buffer.sparse_accessor(turned[atlas.vertex], still=_STILL_NORMAL)
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
    material.add_to(document, buffer)
    document.buffers = [gltf.Buffer(byteLength=len(buffer.data))]
    document.set_binary_blob(bytes(buffer.data))
    with atomic_path(path) as temporary:
        document.save_binary(str(temporary))


def _normals(vertices_mm: np.ndarray, morphable_model: MorphableModel) -> np.ndarray:
    return vertex_normals(torch.from_numpy(vertices_mm.astype(np.float32))[None], morphable_model.faces.cpu())[
        0
    ].numpy()


def _points(buffer: GlbBuffer, points_mm: np.ndarray) -> int:
    return buffer.accessor((_M_PER_MM * points_mm).astype(np.float32), gltf.VEC3, gltf.ARRAY_BUFFER)


def _top_down(uv: np.ndarray) -> np.ndarray:
    # glTF counts v from the top of the image.
    return np.stack((uv[:, 0], 1.0 - uv[:, 1]), axis=-1).astype(np.float32)
