"""A face of one head model expressed in another: identity from its shape at rest, expression from how it moves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from model.face.assets import HeadAssets
from model.face.correspondence import SurfaceMap, outer_skin
from model.geometry.similarity import Similarity, align_landmarks
from model.geometry.surface_distance import Surface

_NOISE_MM = 1.0
"""Of a vertex beside the prior of the identity: what the other model says counts, as far as ours can say it."""
_EXPRESSION_NOISE_MM = 0.3
_ALBEDO_NOISE = 0.05
_ROUNDS = 5


@dataclass(frozen=True)
class Transferred:
    """A face in the words of another head.

    Attributes:
        identity: Standard deviations.
        expression: Weights in [0, 1].
        albedo: Standard deviations; zeros where no colours were given.
        neutral_mm: Vertices at rest, in the head's space.
        vertices_mm: Vertices with the expression.
        place: From the head's space to that of the head it came from; a rigid motion.
        identity_error_mm: Mean distance from its skin at rest to the other head's.
        expression_error_mm: Mean distance from its skin with the expression to the other head's.
        movement_error_mm: Mean difference of the way that the expression moves a vertex.
    """

    identity: Float[np.ndarray, " identity"]
    expression: Float[np.ndarray, " expression"]
    albedo: Float[np.ndarray, " albedo"]
    neutral_mm: Float[np.ndarray, "vertex 3"]
    vertices_mm: Float[np.ndarray, "vertex 3"]
    place: Similarity
    identity_error_mm: float
    expression_error_mm: float
    movement_error_mm: float


def transferred(
    head: HeadAssets,
    source: HeadAssets,
    found: SurfaceMap,
    neutral_mm: Float[np.ndarray, "source 3"],
    expressive_mm: Float[np.ndarray, "source 3"],
    albedo_linear: Float[np.ndarray, "source 3"] | None = None,
) -> Transferred:
    """Express a face of the source in the head.

    Args:
        head: The head.
        source: The head model that the face is of.
        found: Where the head's vertices lie on the source.
        neutral_mm: Vertices of the face at rest, in the source's space.
        expressive_mm: Vertices of the face with its expression.
        albedo_linear: Its albedo, linear RGB.

    Raises:
        ValueError: If hardly anything of the head has a place on the source.
    """
    used = found.covered & outer_skin(head)
    if used.sum() < 100:
        raise ValueError(f"only {int(used.sum())} vertices of the skin have a place on the other head")
    rest, moved = found.carry(neutral_mm.astype(float))[used], found.carry(expressive_mm.astype(float))[used]
    place, identity = _identity(head, rest, used)
    shape_mm = head.vertices_mm + np.tensordot(identity, head.identity_basis, 1)
    movement = (moved - rest) @ place.rotation
    expression = _weights(head.expression_basis[:, used], movement)
    displaced = np.tensordot(expression, head.expression_basis, 1)
    albedo = np.zeros(len(head.albedo_basis))
    if albedo_linear is not None and len(albedo):
        difference = found.carry(albedo_linear.astype(float))[used] - head.albedo_mean[used]
        albedo = _ridge(head.albedo_basis[:, used], difference, _ALBEDO_NOISE)
    skin = source.faces[outer_skin(source)[source.faces].all(1)]
    return Transferred(
        identity=identity,
        expression=expression,
        albedo=albedo,
        neutral_mm=shape_mm,
        vertices_mm=shape_mm + displaced,
        place=place,
        identity_error_mm=_distance_mm(place.apply(shape_mm[used]), neutral_mm, skin),
        expression_error_mm=_distance_mm(place.apply((shape_mm + displaced)[used]), expressive_mm, skin),
        movement_error_mm=float(np.linalg.norm(displaced[used] - movement, axis=1).mean()),
    )


def _identity(
    head: HeadAssets, rest_mm: Float[np.ndarray, "used 3"], used: Bool[np.ndarray, " vertex"]
) -> tuple[Similarity, Float[np.ndarray, " identity"]]:
    """The rigid motion and the coefficients together. No scale: how large a person is, is the identity's to say."""
    basis, mean = head.identity_basis[:, used].astype(float), head.vertices_mm[used].astype(float)
    identity = np.zeros(len(basis))
    place = align_landmarks(mean, rest_mm, scaled=False)
    prior = np.concatenate((np.full(6, 1e-9), np.ones(len(basis))))
    for _ in range(_ROUNDS):
        shape = mean + np.tensordot(identity, basis, 1)
        middle = shape.mean(0)
        turns = np.stack([np.cross(axis, shape - middle) for axis in np.eye(3)])
        shifts = np.broadcast_to(np.eye(3)[:, None], turns.shape)
        rows = np.concatenate((turns, shifts, basis)).reshape(6 + len(basis), -1)
        gap = (place.undo(rest_mm) - shape).ravel()
        wanted = rows @ gap / _NOISE_MM**2 - prior * np.concatenate((np.zeros(6), identity))
        step = np.linalg.solve(rows @ rows.T / _NOISE_MM**2 + np.diag(prior), wanted)
        rotation = Rotation.from_rotvec(step[:3]).as_matrix()
        place = place.after(Similarity(1.0, rotation, middle + step[3:6] - rotation @ middle))
        identity = identity + step[6:]
    return place, identity


def _ridge(
    basis: Float[np.ndarray, "component used 3"], wanted: Float[np.ndarray, "used 3"], noise: float
) -> Float[np.ndarray, " component"]:
    flat = basis.reshape(len(basis), -1).astype(float)
    normal = flat @ flat.T / noise**2 + np.eye(len(flat))
    return np.linalg.solve(normal, flat @ wanted.ravel() / noise**2)


def _weights(
    basis: Float[np.ndarray, "component used 3"], wanted: Float[np.ndarray, "used 3"]
) -> Float[np.ndarray, " component"]:
    """Weights in [0, 1], with as little of them as does it."""
    if not len(basis):
        return np.zeros(0)
    flat = basis.reshape(len(basis), -1).astype(float)
    factor = np.linalg.cholesky(flat @ flat.T / _EXPRESSION_NOISE_MM**2 + np.eye(len(flat)))
    right = np.linalg.solve(factor, flat @ wanted.ravel() / _EXPRESSION_NOISE_MM**2)
    return lsq_linear(factor.T, right, bounds=(0.0, 1.0)).x


def _distance_mm(points_mm: np.ndarray, vertices_mm: np.ndarray, faces: np.ndarray) -> float:
    return float(Surface(vertices_mm, faces).nearest(points_mm).distance_mm.mean())
