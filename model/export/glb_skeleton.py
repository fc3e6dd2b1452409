"""Skeleton, pose and camera of a GLB: nodes beside the meshes."""

import math

import numpy as np
import pygltflib as gltf
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from common.mesh_options import PoseKind
from model.export.glb_buffer import GlbBuffer
from model.face.skeleton import JOINT_NAMES, PARENTS
from model.look.face_result import FaceResult
from model.look.rig import HeadRig

POSE_NODE, CAMERA_NODE = "pose", "camera"
M_PER_MM = 0.001
_NEAR_M, _FAR_M = 0.01, 100.0
_INFLUENCES = 4
"""Joints of one vertex: what glTF has room for in one set of attributes."""


def add_skeleton(document: gltf.GLTF2, buffer: GlbBuffer, result: FaceResult, rig: HeadRig, pose: PoseKind) -> int:
    """Append the node `pose` with the joints below it, and the skin that all meshes share; returns the pose's node.

    The joints' axes are those of the head at rest. With the pose `photograph` the node holds the photograph's rotation
    and translation, whose camera is at the origin then; as an identity it is switched off.
    """
    root = len(document.nodes)
    rotation, translation = result.rotation.tolist(), result.translation_mm.tolist()
    extras = {"rotation": rotation, "translation_mm": translation, "intrinsics_px": result.intrinsics_px.tolist()}
    document.nodes.append(gltf.Node(name=POSE_NODE, extras=extras, children=[root + 1]))
    if pose == "photograph":
        _set_transform(document.nodes[root], result.rotation, result.translation_mm)
    expression = dict(zip(result.expression_names, result.expression.tolist(), strict=True))
    for joint, (name, parent) in enumerate(zip(JOINT_NAMES, PARENTS, strict=True)):
        place = rig.joints_mm[joint] - (rig.joints_mm[parent] if parent >= 0 else 0.0)
        motion = rig.motion(joint, expression)
        node = gltf.Node(name=name, translation=(M_PER_MM * (place + motion.shift_mm)).tolist())
        if motion.turn_rad.any():
            node.rotation = Rotation.from_rotvec(motion.turn_rad).as_quat().tolist()
        if joint in rig.drivers:
            node.extras = {
                "driven_by": {
                    name: {
                        "rotation_vector_degrees": np.rad2deg(driver.turn_rad).round(4).tolist(),
                        "translation_mm": driver.shift_mm.round(4).tolist(),
                    }
                    for name, driver in rig.drivers[joint].items()
                }
            }
        document.nodes.append(node)
        if parent >= 0:
            document.nodes[root + 1 + parent].children.append(root + 1 + joint)
    binding = np.tile(np.eye(4, dtype=np.float32), (len(JOINT_NAMES), 1, 1))
    # glTF's matrices are stored column by column.
    binding[:, 3, :3] = -M_PER_MM * rig.joints_mm
    joints = list(range(root + 1, root + 1 + len(JOINT_NAMES)))
    inverse = buffer.accessor(binding.reshape(-1, 16), gltf.MAT4, None)
    document.skins.append(gltf.Skin(name="skeleton", joints=joints, skeleton=root + 1, inverseBindMatrices=inverse))
    return root


def add_camera(document: gltf.GLTF2, result: FaceResult, width_px: int, height_px: int, pose: PoseKind) -> int:
    """Append the photograph's camera; returns its node.

    glTF's cameras look along -z with y up, as ours do. They know no principal point beside the picture's middle, so the
    whole matrix is in the camera's `extras`.
    """
    focal_x, focal_y = float(result.intrinsics_px[0, 0]), float(result.intrinsics_px[1, 1])
    extras = {"intrinsics_px": result.intrinsics_px.tolist(), "width_px": width_px, "height_px": height_px}
    lens = gltf.Perspective(
        aspectRatio=(width_px / focal_x) / (height_px / focal_y),
        yfov=2.0 * math.atan(0.5 * height_px / focal_y),
        znear=_NEAR_M,
        zfar=_FAR_M,
    )
    document.cameras.append(gltf.Camera(name="photograph", type="perspective", perspective=lens, extras=extras))
    node = gltf.Node(name=CAMERA_NODE, camera=len(document.cameras) - 1)
    if pose == "front":
        back = result.rotation.T
        _set_transform(node, back, -back @ result.translation_mm)
    document.nodes.append(node)
    return len(document.nodes) - 1


def strongest(weights: Float[np.ndarray, "vertex joint"]) -> tuple[np.ndarray, np.ndarray]:
    """The four joints that each vertex follows most, and how far; rows sum to 1, joints of no weight are joint 0."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :_INFLUENCES]
    shares = np.take_along_axis(weights, joints, axis=1).astype(np.float64)
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return np.where(shares > 0.0, joints, 0).astype(np.uint8), shares


def _set_transform(
    node: gltf.Node, rotation: Float[np.ndarray, "3 3"], translation_mm: Float[np.ndarray, " 3"]
) -> None:
    node.rotation = Rotation.from_matrix(rotation.astype(np.float64)).as_quat().tolist()
    node.translation = (M_PER_MM * translation_mm.astype(np.float64)).tolist()
