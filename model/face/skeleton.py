"""The skeleton of a head model: joints of chest, neck, head, jaw and eyes, and how far each vertex follows them.

Names are those of Unity's `HumanBodyBones`; VRM 1.0's `humanBones` are the same with a small first letter, and Mixamo
and Ready Player Me call all of them but chest and jaw so. `Chest` stays where it is when `Neck` turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.face.morphable_model import MorphableModel

JOINT_NAMES = ("Chest", "Neck", "Head", "Jaw", "LeftEye", "RightEye")
PARENTS = (-1, 0, 1, 2, 2, 2)
CHEST, NECK, HEAD, JAW, LEFT_EYE, RIGHT_EYE = range(len(JOINT_NAMES))

_PLACES_MM = np.array(
    [[0.0, -225.0, -105.0], [0.0, -165.0, -102.0], [0.0, -48.0, -82.0], [0.0, -41.5, -66.3], [0.0] * 3, [0.0] * 3]
)
"""On the mean head, model space; the eyes' are found. The jaw's is the axis about which `jawOpen` turns the lower teeth
of `likeness-head`: the hinge of the mandible, which glides forwards as it opens, seen as one turn."""
JAW_OPEN_DEGREES = 25.3
"""By so much `jawOpen` turns them."""
_FOLLOWS_MM = 40.0
"""A joint moves with the vertices about it, as far as this from it."""

_CHEST_TO_NECK_MM = (-185.0, -135.0)
_SHOULDERS_MM = (75.0, 115.0)
"""Heights between which the chest gives way to the neck, and distances from the neck's axis where it comes back."""
_NECK_TO_HEAD_MM, _SLOPE, _THROAT_Z_MM = (-165.0, -118.0), 0.44, -30.0
"""The same of neck and head, at the throat; at the nape it is higher by the slope, for the skull begins there."""
_HINGE_NOISE_MM2 = 4.0
"""Near its axis a turn moves nothing, and what share of it a vertex follows is not known."""


@dataclass(frozen=True)
class Skeleton:
    """Joints of a head model.

    Attributes:
        mean_joints_mm: Places of the joints on the mean head, model space, in the order of `JOINT_NAMES`.
        anchors: By which vertices a joint is moved: weights, each row sums to 1. Eyes turn about their own centres.
        weights: How far each vertex follows each joint; each row sums to 1, four of a row at most are not zero.
    """

    mean_joints_mm: Float[np.ndarray, "joint 3"]
    anchors: Float[np.ndarray, "joint vertex"]
    weights: Float[np.ndarray, "vertex joint"]
    _mean_mm: Float[np.ndarray, "vertex 3"]

    @classmethod
    def of(cls, model: MorphableModel) -> "Skeleton":
        """The skeleton of a head model; joints of what it lacks (eyes, a jaw that opens) move nothing."""
        names = model.expression_names
        regions = {name: model.region(name).cpu().numpy() for name in model.region_names}
        basis = model.expression_basis.unflatten(-1, (-1, 3))
        opening = basis[names.index("jawOpen")].cpu().numpy() if "jawOpen" in names else None
        return cls.of_mesh(model.mean_mm.cpu().numpy(), model.mirror.cpu().numpy(), regions, opening)

    @classmethod
    def of_mesh(
        cls,
        mean_mm: Float[np.ndarray, "vertex 3"],
        mirror: Int[np.ndarray, " vertex"],
        regions: Mapping[str, Bool[np.ndarray, " vertex"]],
        jaw_open_mm: Float[np.ndarray, "vertex 3"] | None,
    ) -> "Skeleton":
        """The skeleton of a mean head.

        Args:
            mean_mm: Its vertices, model space.
            mirror: The vertex on the other side of each.
            regions: `left_eye` and `right_eye` are the eyeballs.
            jaw_open_mm: What `jawOpen` does; None for a head whose jaw does not open.
        """
        points = mean_mm.astype(np.float64)
        joints = _PLACES_MM.copy()
        distance = np.linalg.norm(points[None] - joints[:, None], axis=-1)
        anchors = np.exp(-((distance - distance.min(1, keepdims=True)) / _FOLLOWS_MM))
        weights = np.zeros((len(points), len(joints)))
        weights[:, : HEAD + 1] = along_neck(points)
        if jaw_open_mm is not None:
            # What is sculpted is not quite even: a jaw's joint is to turn left and right alike.
            opening = 0.5 * (jaw_open_mm + jaw_open_mm[mirror] * (-1.0, 1.0, 1.0))
            jaw = _jaw_share(points, opening)
            weights = weights * (1.0 - jaw[:, None])
            weights[:, JAW] = jaw
        for joint, name in ((LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye")):
            eyeball = regions.get(name, np.zeros(len(points), bool))
            if eyeball.any():
                joints[joint] = eyeball_centre(points[eyeball])
                weights[eyeball] = np.eye(len(joints))[joint]
        anchors /= anchors.sum(1, keepdims=True)
        return cls(joints, anchors, weights.astype(np.float32), points)

    def joints_mm(self, rest_mm: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "joint 3"]:
        """Places of the joints of a head whose vertices are there at rest."""
        joints = self.mean_joints_mm + self.anchors @ (rest_mm - self._mean_mm)
        for joint in (LEFT_EYE, RIGHT_EYE):
            eyeball = self.weights[:, joint] > 0.0
            if eyeball.any():
                joints[joint] = eyeball_centre(rest_mm[eyeball].astype(np.float64))
        return joints


def along_neck(points_mm: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
    """How far points of the mean head, or of the space about it, follow chest, neck and head."""
    x, y, z = points_mm.T
    aside = np.hypot(x, z - _PLACES_MM[NECK, 2])
    above = _smooth_step(y, *_CHEST_TO_NECK_MM)
    free = np.maximum(1.0 - _smooth_step(aside, *_SHOULDERS_MM), _smooth_step(y, *_NECK_TO_HEAD_MM))
    head = _smooth_step(y + _SLOPE * (z - _THROAT_Z_MM), *_NECK_TO_HEAD_MM)
    not_chest = np.maximum(above * free, head * above)
    return np.stack((1.0 - not_chest, not_chest * (1.0 - head), not_chest * head), axis=-1)


def eyeball_centre(points_mm: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, " 3"]:
    """Centre of the sphere through the back half of an eyeball, away from the cornea (least squares)."""
    back = points_mm[points_mm[:, 2] <= np.median(points_mm[:, 2])]
    system = np.concatenate([2.0 * back, np.ones((len(back), 1))], axis=1)
    return np.linalg.lstsq(system, (back**2).sum(1), rcond=None)[0][:3]


def _jaw_share(
    points_mm: Float[np.ndarray, "vertex 3"], opening_mm: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, " vertex"]:
    """How much of the turn about the hinge is in what `jawOpen` does: 1 at the lower teeth, fading over the cheeks."""
    arm = points_mm - _PLACES_MM[JAW]
    angle = np.deg2rad(JAW_OPEN_DEGREES)
    turned = arm.copy()
    turned[:, 1] = np.cos(angle) * arm[:, 1] - np.sin(angle) * arm[:, 2]
    turned[:, 2] = np.sin(angle) * arm[:, 1] + np.cos(angle) * arm[:, 2]
    by_hinge = turned - arm
    share = (opening_mm * by_hinge).sum(1) / ((by_hinge**2).sum(1) + _HINGE_NOISE_MM2)
    return share.clip(0.0, 1.0)


def _smooth_step(value: Float[np.ndarray, " point"], low: float, high: float) -> Float[np.ndarray, " point"]:
    share = ((value - low) / (high - low)).clip(0.0, 1.0)
    return share**2 * (3.0 - 2.0 * share)
