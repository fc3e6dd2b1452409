"""Joints of a head and linear blend skinning with pose correctives, as FLAME and GNM define them.

Li et al., "Learning a model of facial shape and expression from 4D scans" (ACM TOG 2017), section 3: corrective offsets
that are linear in the rotations' difference from rest are added first, then each vertex follows its joints by weight.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Skinning:
    """J joints of a head of V vertices with K identity components; parents come before their children.

    Attributes:
        names: Of the joints.
        parents: Index of each joint's parent, -1 for a root.
        joints_mm: Where they are on the mean head.
        identity_basis: How far they move, mm per standard deviation.
        weights: How much each vertex follows each joint; rows sum to 1.
        correctives: Displacement of the vertices in mm for each number of the rotations' difference from the identity,
            row by row, joint by joint.
    """

    names: tuple[str, ...]
    parents: Int[np.ndarray, " joint"]
    joints_mm: Float[np.ndarray, "joint 3"]
    identity_basis: Float[np.ndarray, "identity joint 3"]
    weights: Float[np.ndarray, "vertex joint"]
    correctives: Float[np.ndarray, "feature vertex 3"]

    def __post_init__(self) -> None:
        """Check that the arrays agree.

        Raises:
            ValueError: Naming what does not.
        """
        count = len(self.names)
        if self.joints_mm.shape != (count, 3) or self.weights.shape[1:] != (count,) or len(self.parents) != count:
            raise ValueError(f"{count} joints, but parents, joints_mm or weights are of another number")
        if len(self.correctives) != 9 * count or self.identity_basis.shape[1:] != (count, 3):
            raise ValueError(f"correctives and identity_basis must be of {count} joints")
        if any(parent >= joint for joint, parent in enumerate(self.parents)):
            raise ValueError("a joint must come after its parent")
        if not np.allclose(self.weights.sum(1), 1.0, atol=1e-3):
            raise ValueError("the weights of a vertex must sum to 1")

    def joints_of(self, identity: Float[np.ndarray, " identity"]) -> Float[np.ndarray, "joint 3"]:
        """Where the joints of a person are, in mm; `identity` in standard deviations."""
        return self.joints_mm + np.tensordot(identity, self.identity_basis, 1)

    def posed(
        self,
        vertices_mm: Float[np.ndarray, "vertex 3"],
        joints_mm: Float[np.ndarray, "joint 3"],
        turns_rad: Float[np.ndarray, "joint 3"],
    ) -> Float[np.ndarray, "vertex 3"]:
        """Turn the joints of a head.

        Args:
            vertices_mm: The head at rest, with its expression.
            joints_mm: Its joints at rest.
            turns_rad: Turn of each joint against its parent, as axis times angle.
        """
        local = Rotation.from_rotvec(turns_rad).as_matrix()
        features = (local - np.eye(3)).ravel()
        corrected = vertices_mm + np.tensordot(features, self.correctives, 1)
        turned, shifted = np.empty_like(local), np.empty((len(local), 3))
        for joint, parent in enumerate(self.parents):
            # The turn leaves the joint where its parent puts it.
            above, shift = (np.eye(3), np.zeros(3)) if parent < 0 else (turned[parent], shifted[parent])
            turned[joint] = above @ local[joint]
            shifted[joint] = above @ joints_mm[joint] + shift - turned[joint] @ joints_mm[joint]
        rotation = np.tensordot(self.weights, turned, 1)
        return np.einsum("vij,vj->vi", rotation, corrected) + self.weights @ shifted

    def shape(
        self, vertices_mm: Float[np.ndarray, "vertex 3"], turns_rad: dict[str, tuple[float, float, float]]
    ) -> Float[np.ndarray, "vertex 3"]:
        """How far the mean head's vertices move when some joints turn: a blendshape, linear where the turn is not.

        Args:
            vertices_mm: The mean head.
            turns_rad: Axis times angle by the joint's name.
        """
        turns = np.zeros((len(self.names), 3))
        for name, turn in turns_rad.items():
            turns[self.names.index(name)] = turn
        return self.posed(vertices_mm, self.joints_mm.astype(float), turns) - vertices_mm


@dataclass(frozen=True)
class YawContour:
    """The outline of the face as the 17 jaw points of 2D landmarks have it, which moves over the skin as a head turns.

    Attributes:
        yaw_deg: Turns of the head for which it is known, ascending; positive to the subject's left.
        face: Triangle of each point.
        barycentric: Weights of its corners.
    """

    yaw_deg: Float[np.ndarray, " turn"]
    face: Int[np.ndarray, "turn 17"]
    barycentric: Float[np.ndarray, "turn 17 3"]

    def nearest(self, yaw_deg: float) -> tuple[Int[np.ndarray, "17"], Float[np.ndarray, "17 3"]]:
        """Triangles and weights for the nearest known turn."""
        row = int(np.abs(self.yaw_deg - yaw_deg).argmin())
        return self.face[row], self.barycentric[row]
