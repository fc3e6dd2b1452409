"""The rig of a person: joints where this head has them, and who opens the jaw and turns the eyes, shapes or joints.

Both at once would open a mouth twice. With `shapes` the 52 blendshapes do all, and the joints rest until somebody turns
them. With `bones` the joints Jaw, LeftEye and RightEye make the rigid part of what the blendshapes of jaw and gaze
do, and these keep what a joint cannot: the lips' shape, the lids.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from model.face.skeleton import HEAD, JAW, JOINT_NAMES, LEFT_EYE, RIGHT_EYE, Skeleton, along_neck
from model.look.head_shape import HeadShape

_DRIVEN = {
    JAW: ("jawOpen", "jawForward", "jawLeft", "jawRight"),
    LEFT_EYE: ("eyeLookUpLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft"),
    RIGHT_EYE: ("eyeLookUpRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight"),
}
_WHOLLY = 0.95
"""A vertex with a larger weight is taken for a part of the bone itself: lower teeth, eyeballs."""


@dataclass(frozen=True)
class JointMotion:
    """What a joint does for a blendshape of weight 1; of several blendshapes these vectors are added up.

    Attributes:
        turn_rad: Axis times angle.
        shift_mm: Displacement of the joint.
    """

    turn_rad: Float[np.ndarray, " 3"]
    shift_mm: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class HeadRig:
    """The rig of a person.

    Attributes:
        joints_mm: Places of the joints at rest, model space, in the order of `JOINT_NAMES`.
        weights: How far each vertex of the head follows each joint; rows sum to 1.
        drivers: What joints do for blendshapes: by joint, by name of the blendshape. Empty where the blendshapes do
            all.
    """

    joints_mm: Float[np.ndarray, "joint 3"]
    weights: Float[np.ndarray, "vertex joint"]
    drivers: dict[int, dict[str, JointMotion]]
    _nearer_mean_mm: Float[np.ndarray, " 3"]

    @classmethod
    def of(cls, shape: HeadShape, skeleton: Skeleton) -> "HeadRig":
        """The rig of a head whose blendshapes do all; its joints rest."""
        joints = skeleton.joints_mm(shape.rest_mm.astype(np.float64))
        return cls(joints, skeleton.weights, {}, skeleton.mean_joints_mm[HEAD] - joints[HEAD])

    def weights_at(self, points_mm: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point joint"]:
        """How far points of the space about the head at rest, such as hair, follow chest, neck and head."""
        weights = np.zeros((len(points_mm), len(JOINT_NAMES)), np.float32)
        weights[:, : HEAD + 1] = along_neck(points_mm.astype(np.float64) + self._nearer_mean_mm)
        return weights

    def motion(self, joint: int, weights_by_name: dict[str, float]) -> JointMotion:
        """What a joint does at an expression."""
        driven = self.drivers.get(joint, {})
        turn, shift = np.zeros(3), np.zeros(3)
        for name, motion in driven.items():
            turn += weights_by_name[name] * motion.turn_rad
            shift += weights_by_name[name] * motion.shift_mm
        return JointMotion(turn, shift)


def moved_by_bones(shape: HeadShape, rig: HeadRig, names: tuple[str, ...]) -> tuple[HeadShape, HeadRig]:
    """A head whose jaw and eyes the joints move: its expressions without what the joints do, and the rig that does it.

    Args:
        shape: The head.
        rig: Its joints.
        names: Of its expressions.
    """
    morphs = shape.morphs_mm.copy()
    drivers: dict[int, dict[str, JointMotion]] = {}
    for joint, driven in _DRIVEN.items():
        share = rig.weights[:, joint].astype(np.float64)
        if share.max() <= _WHOLLY or not set(driven) <= set(names):
            continue
        for name in driven:
            row = names.index(name)
            motion = _rigid_part(shape.rest_mm, shape.morphs_mm[row], share > _WHOLLY, rig.joints_mm[joint])
            drivers.setdefault(joint, {})[name] = motion
            morphs[row] = _rest_of(shape.rest_mm, shape.morphs_mm[row], share, motion, rig.joints_mm[joint])
    return HeadShape(shape.rest_mm, morphs), replace(rig, drivers=drivers)


def _rigid_part(
    rest_mm: Float[np.ndarray, "vertex 3"],
    moved_mm: Float[np.ndarray, "vertex 3"],
    bone: Bool[np.ndarray, " vertex"],
    joint_mm: Float[np.ndarray, " 3"],
) -> JointMotion:
    """The rigid motion of the joint that best does what an expression does to a bone (Kabsch's algorithm)."""
    before, after = rest_mm[bone].astype(np.float64), (rest_mm + moved_mm)[bone].astype(np.float64)
    turn, _ = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))
    shift = after.mean(0) - joint_mm - turn.apply(before.mean(0) - joint_mm)
    return JointMotion(turn.as_rotvec(), shift)


def _rest_of(
    rest_mm: Float[np.ndarray, "vertex 3"],
    moved_mm: Float[np.ndarray, "vertex 3"],
    share: Float[np.ndarray, " vertex"],
    motion: JointMotion,
    joint_mm: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "vertex 3"]:
    """What is left of an expression for the vertices: skinned with the joint's motion they come to the same places."""
    turn = Rotation.from_rotvec(motion.turn_rad).as_matrix()
    blended = np.eye(3) + share[:, None, None] * (turn - np.eye(3))
    shift = share[:, None] * (joint_mm + motion.shift_mm - turn @ joint_mm)
    unskinned = np.linalg.solve(blended, (rest_mm + moved_mm - shift)[..., None])[..., 0]
    return (unskinned - rest_mm).astype(np.float32)
