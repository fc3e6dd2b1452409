"""`mesh.glb`: the textured head in its parts, with its expressions as named morph targets, in metres."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pygltflib as gltf

from common.atomic import atomic_path
from common.mesh_options import PoseKind
from model.export.glb_buffer import GlbBuffer, glb_bytes
from model.export.glb_motion import add_motion
from model.export.glb_skeleton import M_PER_MM, add_camera, add_skeleton, strongest
from model.export.mesh_part import MeshPart
from model.look.face_result import FaceResult
from model.look.face_track import FaceTrack
from model.look.rig import HeadRig
from model.look.tangents import vertex_tangents

_STILL_NORMAL = 0.003
"""A normal that an expression turns by less (0.2 degrees) does not count as turned."""


def write_glb(
    result: FaceResult,
    parts: Sequence[MeshPart],
    rig: HeadRig,
    path: Path,
    picture_px: tuple[int, int] | None = None,
    pose: PoseKind = "front",
    track: FaceTrack | None = None,
) -> None:
    """Write the head: the identity is in the meshes, the expression in the weights of the morph targets.

    Each part is a node with a mesh and a material of its own, and all of them follow one skeleton, which hangs from the
    node `pose`; its `extras` hold rotation, translation in mm and the photograph's intrinsics in px. All meshes have
    all expressions as morph targets, in one order, so that one set of weights moves them together.

    Args:
        result: The face.
        parts: Its meshes.
        rig: Its joints.
        path: The file.
        picture_px: Width and height of the photograph; by default its principal point is its middle.
        pose: Where head and camera stand.
        track: How it moves, written as an animation; None for a still head.
    """
    document = gltf.GLTF2(scene=0, asset=gltf.Asset(generator="Likeness"))
    buffer = GlbBuffer(document)
    width_px, height_px = picture_px or (max(1, round(2.0 * float(middle))) for middle in result.intrinsics_px[:2, 2])
    roots = [add_skeleton(document, buffer, result, rig, pose)]
    roots.append(add_camera(document, result, width_px, height_px, pose))
    for number, part in enumerate(parts):
        document.meshes.append(
            gltf.Mesh(
                name=part.name,
                primitives=[_primitive(part, document, buffer)],
                weights=result.expression.tolist(),
                extras={"targetNames": list(result.expression_names)},
            )
        )
        # Among the scene's roots: by the format a skinned mesh goes where its joints are, whatever it hangs from.
        roots.append(len(document.nodes))
        document.nodes.append(gltf.Node(mesh=number, name=part.name, skin=0))
    document.scenes = [gltf.Scene(nodes=roots)]
    if track is not None:
        add_motion(document, buffer, track)
    document.buffers = [gltf.Buffer(byteLength=len(buffer.data))]
    document.set_binary_blob(buffer.data)
    with atomic_path(path) as temporary:
        temporary.write_bytes(glb_bytes(document))


def _primitive(part: MeshPart, document: gltf.GLTF2, buffer: GlbBuffer) -> gltf.Primitive:
    material, normals = part.material, part.normals(part.vertices_mm)
    attributes = gltf.Attributes(
        POSITION=_points(buffer, part.vertices_mm),
        NORMAL=buffer.accessor(normals, gltf.VEC3, gltf.ARRAY_BUFFER),
        TEXCOORD_0=buffer.accessor(_top_down(part.uv), gltf.VEC2, gltf.ARRAY_BUFFER),
    )
    joints, shares = strongest(part.joint_weights)
    attributes.JOINTS_0 = buffer.accessor(joints, gltf.VEC4, gltf.ARRAY_BUFFER)
    attributes.WEIGHTS_0 = buffer.accessor(shares, gltf.VEC4, gltf.ARRAY_BUFFER)
    if material.needs_tangents:
        tangents = vertex_tangents(part.vertices_mm, normals, part.uv, part.faces)
        attributes.TANGENT = buffer.accessor(tangents, gltf.VEC4, gltf.ARRAY_BUFFER)
    targets = [gltf.Attributes(POSITION=buffer.sparse_accessor(M_PER_MM * morph)) for morph in part.morphs_mm]
    if material.lit:
        turned = np.zeros_like(part.morphs_mm)
        moving = part.morphs_mm.any(axis=(1, 2))
        if moving.any():
            turned[moving] = part.normals(part.vertices_mm + part.morphs_mm[moving]) - normals
        for target, turn in zip(targets, turned, strict=True):
            target.NORMAL = buffer.sparse_accessor(turn, still=_STILL_NORMAL)
    triangles = buffer.accessor(part.faces.astype(np.uint32).ravel(), gltf.SCALAR, gltf.ELEMENT_ARRAY_BUFFER)
    number = material.add_to(document, buffer, part.name)
    return gltf.Primitive(attributes=attributes, indices=triangles, material=number, targets=targets)


def _points(buffer: GlbBuffer, points_mm: np.ndarray) -> int:
    return buffer.accessor((M_PER_MM * points_mm).astype(np.float32), gltf.VEC3, gltf.ARRAY_BUFFER)


def _top_down(uv: np.ndarray) -> np.ndarray:
    # glTF counts v from the top of the image.
    return np.stack((uv[:, 0], 1.0 - uv[:, 1]), axis=-1).astype(np.float32)
