"""Register a linear head to points on somebody else's mean face: similarity, identity, a few expressions.

Iterated closest points with the distance along the surface's normal (Chen & Medioni, "Object modelling by
registration of multiple range images", 1992): points may slide along the skin, since that they name the same place of
it is what is to be found out, not assumed. Points that the projection keeps on a curve (lid margins, lips) are held by
their whole distance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from common.ranges import AT_LEAST_ONE, POSITIVE, checked
from model.face.assets import HeadAssets
from tools.statistics.surface import SurfacePoints

_TANGENTIAL = 0.05
"""Weight of the distance along the surface beside that along the normal: small, so that points slide, and not zero, so
that the whole does not."""
_OUTLIER_MM = 4.0
"""Distance at which a point counts half."""
_EXPRESSION_SD = 0.15
"""Standard deviation of the expression weights around 0."""


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("iterations",), POSITIVE: ("noise_mm",)})
class RegistrationConfig:
    """How far the head may bend.

    Attributes:
        iterations: Rounds of closest points and least squares.
        noise_mm: Standard deviation of a point's distance to the surface. Neighbours err together (a network drew
            them), so it stands far above their scatter.
    """

    iterations: int = 40
    noise_mm: float = 3.0


@dataclass(frozen=True)
class Registration:
    """A head under foreign points.

    Attributes:
        points: Under each point, on the head's surface.
        distance_mm: How far each point lies from it.
        identity: Standard deviations.
        expression: Weights; those that were not allowed are 0.
    """

    points: SurfacePoints
    distance_mm: Float[np.ndarray, " point"]
    identity: Float[np.ndarray, " identity"]
    expression: Float[np.ndarray, " expression"]


def register_points(
    head: HeadAssets,
    points: Float[np.ndarray, "point 3"],
    start_points: Float[np.ndarray, "pair 3"],
    start_mm: Float[np.ndarray, "pair 3"],
    projection: Callable[[HeadAssets], Callable[[Float[np.ndarray, "point 3"]], SurfacePoints]],
    allowed_expressions: Int[np.ndarray, " allowed"],
    config: RegistrationConfig,
) -> Registration:
    """Bring head and points together.

    Args:
        head: The head.
        points: The foreign points, right-handed, of any size and place.
        start_points: Some of them, to begin with.
        start_mm: About where these lie on the mean head.
        projection: For a head of a given shape, what puts points on the part of its surface each may lie on.
        allowed_expressions: Expressions the foreign face may show.
        config: How far the head may bend.

    Returns:
        Where the points lie.

    Raises:
        ValueError: If the config allows no round.
    """
    scale, rotation, shift = similarity(start_points, start_mm)
    basis = np.concatenate([head.identity_basis, head.expression_basis[allowed_expressions]]).astype(np.float64)
    count = len(head.identity_basis)
    precision = np.concatenate([np.ones(count), np.full(len(allowed_expressions), _EXPRESSION_SD**-2)])
    coefficients = np.zeros(len(basis))
    under, distance = None, np.empty(0)
    for _ in range(config.iterations):
        shape = head.vertices_mm + np.einsum("k,kvx->vx", coefficients, basis)
        placed = scale * points @ rotation.T + shift
        under = projection(replace(head, vertices_mm=shape.astype(np.float32)))(placed.astype(np.float32))
        hit = under.evaluate(shape, head.faces).astype(np.float64)
        normal = _normals(shape, head.faces, under)
        distance = np.linalg.norm(placed - hit, axis=1)
        trust = 1.0 / (1.0 + (distance / _OUTLIER_MM) ** 2)
        along = np.einsum("px,py->pxy", normal, normal)
        metric = trust[:, None, None] * (along + _TANGENTIAL * (np.eye(3) - along)) / config.noise_mm**2
        # Coefficients with the pose held, then the pose with the shape held.
        at_points = under.evaluate(basis, head.faces).astype(np.float64)
        mean = under.evaluate(head.vertices_mm, head.faces).astype(np.float64)
        weighted = np.einsum("kpx,pxy->kpy", at_points, metric)
        hessian = np.einsum("kpy,lpy->kl", weighted, at_points) + np.diag(precision)
        coefficients = np.linalg.solve(hessian, np.einsum("kpy,py->k", weighted, placed - mean))
        coefficients[count:] = coefficients[count:].clip(0.0, 1.0)
        goal = mean + np.einsum("k,kpx->px", coefficients, at_points)
        scale, rotation, shift = _pose_step(placed, goal, metric, scale, rotation, shift)
    if under is None:
        raise ValueError(f"RegistrationConfig.iterations is {config.iterations}: it takes 1 at least")
    expression = np.zeros(len(head.expression_basis))
    expression[allowed_expressions] = coefficients[count:]
    return Registration(under, distance, coefficients[:count], expression)


def similarity(
    points: Float[np.ndarray, "pair 3"], goal: Float[np.ndarray, "pair 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Scale, rotation and shift that bring points to their goals (Umeyama 1991)."""
    centre, goal_centre = points.mean(0), goal.mean(0)
    left, spread, right = np.linalg.svd((goal - goal_centre).T @ (points - centre))
    sign = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    rotation = left * sign @ right
    scale = float((spread * sign).sum() / ((points - centre) ** 2).sum())
    return scale, rotation, goal_centre - scale * rotation @ centre


def _pose_step(
    placed: np.ndarray, goal: np.ndarray, metric: np.ndarray, scale: float, rotation: np.ndarray, shift: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """One Gauss-Newton step of the similarity towards the goals, in the metric."""
    centre = placed.mean(0)
    arm = placed - centre
    x, y, z = arm.T
    zero = np.zeros_like(x)
    turn = [np.stack(c, -1) for c in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    move = [np.broadcast_to(axis, arm.shape) for axis in np.eye(3)]
    jacobian = np.stack([*turn, *move, arm], -1)
    hessian = np.einsum("pxi,pxy,pyj->ij", jacobian, metric, jacobian)
    step = np.linalg.solve(hessian, np.einsum("pxi,pxy,py->i", jacobian, metric, goal - placed))
    angle = float(np.linalg.norm(step[:3]))
    axis = step[:3] / max(angle, 1e-12)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    turned = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    factor = float(np.exp(step[6]))
    return scale * factor, turned @ rotation, factor * turned @ (shift - centre) + centre + step[3:6]


def _normals(shape: np.ndarray, faces: np.ndarray, points: SurfacePoints) -> np.ndarray:
    corners = shape[faces[points.face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-9)
