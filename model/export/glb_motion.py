"""A film's motion as a glTF animation: the weights of all meshes, and the head's pose."""

import numpy as np
import pygltflib as gltf

from model.export.glb_buffer import GlbBuffer
from model.geometry.quaternion import quaternions_from_rotations
from model.look.face_track import FaceTrack

_M_PER_MM = 0.001


def add_motion(
    document: gltf.GLTF2,
    buffer: GlbBuffer,
    track: FaceTrack,
    expression_names: tuple[str, ...],
    head_node: int,
    mesh_nodes: list[int],
) -> None:
    """Add an animation `track` to a document: linear between the frames, from 0 s on.

    Args:
        document: The document, with its nodes.
        buffer: Its binary part.
        track: The motion; a frame without the face is bridged from the frame before to the one after.
        expression_names: Of the meshes' morph targets.
        head_node: The node that the pose moves, from the head's own space to the camera's.
        mesh_nodes: The nodes whose meshes have the morph targets.
    """
    times = track.time_s.astype(np.float32)
    given = _accessor(document, buffer, times, gltf.SCALAR, bounds=True)
    turns = quaternions_from_rotations(track.rotation).astype(np.float32)
    places = (_M_PER_MM * track.translation_mm).astype(np.float32)
    weights = track.weights_of(expression_names).astype(np.float32).ravel()
    outputs = [(turns, gltf.VEC4), (places, gltf.VEC3), (weights, gltf.SCALAR)]
    samplers = [
        gltf.AnimationSampler(input=given, output=_accessor(document, buffer, values, kind), interpolation="LINEAR")
        for values, kind in outputs
    ]
    targets = [(0, head_node, "rotation"), (1, head_node, "translation")]
    targets += [(2, node, "weights") for node in mesh_nodes]
    channels = [
        gltf.AnimationChannel(sampler=sampler, target=gltf.AnimationChannelTarget(node=node, path=path))
        for sampler, node, path in targets
    ]
    document.animations.append(gltf.Animation(name="track", channels=channels, samplers=samplers))


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
