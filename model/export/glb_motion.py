"""A film's motion as a glTF animation: the weights of all meshes, the pose, and the joints that weights drive."""

from typing import Any

import numpy as np
import pygltflib as gltf
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from model.export.glb_buffer import GlbBuffer
from model.export.glb_skeleton import M_PER_MM, POSE_NODE
from model.geometry.quaternion import quaternions_from_rotations
from model.look.face_track import FaceTrack

_DRIVEN = ("rotation_vector_degrees", "translation_mm")


def add_motion(document: gltf.GLTF2, buffer: GlbBuffer, track: FaceTrack) -> None:
    """Add an animation `track` to a head's document: linear between the frames, from 0 s on.

    A frame without the face is bridged from the frame before to the one after. All that is needed of the head is in
    the document: the names of the blendshapes, which of them drive joints, and where the pose stands. Where that is an
    identity, the motion is told in the head's own space, so that it is upright where the track's pose is that of the
    photograph.

    Args:
        document: The document, with its nodes and meshes.
        buffer: Its binary part.
        track: The motion.
    """
    nodes = {node.name: (number, node) for number, node in enumerate(document.nodes)}
    motion = _Motion(document, buffer, track.time_s.astype(np.float32))
    number, pose = nodes[POSE_NODE]
    photograph: dict[str, Any] = pose.extras or {}
    mesh: Any = document.meshes[0]
    rotation, place_mm = track.rotation.astype(np.float64), track.translation_mm.astype(np.float64)
    if pose.rotation is None:
        back = np.array(photograph["rotation"], np.float64).T
        rotation, place_mm = back @ rotation, (place_mm - photograph["translation_mm"]) @ back.T
    motion.turn(number, quaternions_from_rotations(rotation))
    motion.shift(number, M_PER_MM * place_mm)
    names, at_photograph = mesh.extras["targetNames"], np.array(mesh.weights)
    weights = track.weights_of(tuple(names))
    motion.weigh([number for number, node in enumerate(document.nodes) if node.mesh is not None], weights)
    for number, node in nodes.values():
        driven_by = (node.extras or {}).get("driven_by")
        if driven_by:
            turns, shifts_mm = (
                _driven(driven_by, names, kind) for kind in ("rotation_vector_degrees", "translation_mm")
            )
            rest_m = np.array(node.translation) - M_PER_MM * (at_photograph @ shifts_mm)
            turned = Rotation.from_rotvec(np.radians(weights @ turns)).as_matrix()
            motion.turn(number, quaternions_from_rotations(turned))
            motion.shift(number, rest_m + M_PER_MM * (weights @ shifts_mm))


def _driven(driven_by: dict[str, Any], names: list[str], kind: str) -> Float[np.ndarray, "expression 3"]:
    """What each blendshape of weight 1 does to a joint."""
    return np.array([driven_by[name][kind] if name in driven_by else (0.0, 0.0, 0.0) for name in names])


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
