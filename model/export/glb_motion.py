"""A film's motion as a glTF animation: the weights of all meshes, the head's pose, and the joints that weights drive."""

import numpy as np
import pygltflib as gltf
from scipy.spatial.transform import Rotation

from common.mesh_options import PoseKind
from model.export.glb_buffer import GlbBuffer
from model.export.glb_skeleton import M_PER_MM, POSE_NODE
from model.face.skeleton import JOINT_NAMES, PARENTS
from model.geometry.quaternion import quaternions_from_rotations
from model.look.face_result import FaceResult
from model.look.face_track import FaceTrack
from model.look.rig import HeadRig


def add_motion(
    document: gltf.GLTF2, buffer: GlbBuffer, track: FaceTrack, result: FaceResult, rig: HeadRig, pose: PoseKind
) -> None:
    """Add an animation `track` to a document: linear between the frames, from 0 s on.

    A frame without the face is bridged from the frame before to the one after.

    Args:
        document: The document, with its nodes.
        buffer: Its binary part.
        track: The motion.
        result: The head, as its photograph shows it.
        rig: Its joints.
        pose: Where head and camera stand. With `photograph` the pose's node moves as the camera at the origin saw it;
            with `front` all of that is told in the head's own space, so that the head is upright in the frame that was
            its photograph.
    """
    nodes = {node.name: number for number, node in enumerate(document.nodes)}
    motion = _Motion(document, buffer, track.time_s.astype(np.float32))
    rotation, place_mm = track.rotation.astype(np.float64), track.translation_mm.astype(np.float64)
    if pose == "front":
        back = result.rotation.T.astype(np.float64)
        rotation, place_mm = back @ rotation, (place_mm - result.translation_mm) @ back.T
    motion.turn(nodes[POSE_NODE], quaternions_from_rotations(rotation))
    motion.shift(nodes[POSE_NODE], M_PER_MM * place_mm)
    weights = track.weights_of(result.expression_names)
    motion.weigh([number for number, node in enumerate(document.nodes) if node.mesh is not None], weights)
    for joint in rig.drivers:
        at_rest_mm = rig.joints_mm[joint] - (rig.joints_mm[PARENTS[joint]] if PARENTS[joint] >= 0 else 0.0)
        moved = [rig.motion(joint, dict(zip(result.expression_names, row, strict=True))) for row in weights.tolist()]
        turns = Rotation.from_rotvec(np.array([one.turn_rad for one in moved])).as_matrix()
        motion.turn(nodes[JOINT_NAMES[joint]], quaternions_from_rotations(turns))
        motion.shift(nodes[JOINT_NAMES[joint]], M_PER_MM * (at_rest_mm + np.array([one.shift_mm for one in moved])))


class _Motion:
    """The animation under way."""

    def __init__(self, document: gltf.GLTF2, buffer: GlbBuffer, time_s: np.ndarray) -> None:
        self._document, self._buffer = document, buffer
        self._times = _accessor(document, buffer, time_s, gltf.SCALAR, bounds=True)
        self._animation = gltf.Animation(name="track")
        document.animations.append(self._animation)

    def turn(self, node: int, quaternions: np.ndarray) -> None:
        self._add([node], "rotation", quaternions, gltf.VEC4)

    def shift(self, node: int, places_m: np.ndarray) -> None:
        self._add([node], "translation", places_m, gltf.VEC3)

    def weigh(self, nodes: list[int], weights: np.ndarray) -> None:
        self._add(nodes, "weights", weights.ravel(), gltf.SCALAR)

    def _add(self, nodes: list[int], path: str, values: np.ndarray, kind: str) -> None:
        output = _accessor(self._document, self._buffer, values.astype(np.float32), kind)
        sampler = gltf.AnimationSampler(input=self._times, output=output, interpolation="LINEAR")
        self._animation.samplers.append(sampler)
        number = len(self._animation.samplers) - 1
        for node in nodes:
            target = gltf.AnimationChannelTarget(node=node, path=path)
            self._animation.channels.append(gltf.AnimationChannel(sampler=number, target=target))


def _accessor(document: gltf.GLTF2, buffer: GlbBuffer, values: np.ndarray, kind: str, *, bounds: bool = False) -> int:
    accessor = gltf.Accessor(
        bufferView=buffer.view(np.ascontiguousarray(values).tobytes()),
        componentType=gltf.FLOAT,
        count=len(values),
        type=kind,
    )
    if bounds:
        accessor.min, accessor.max = [float(values.min())], [float(values.max())]
    document.accessors.append(accessor)
    return len(document.accessors) - 1
