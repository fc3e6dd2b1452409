"""Laying a head model onto the surface of another mesh: a scan, or the mean of another head model.

First a similarity and the model's own coefficients, by points and planes (Chen & Medioni, "Object modelling by
registration of multiple range images", 1992); then what the model cannot say, as a displacement of each vertex along
its target's normal, held together by the Laplacian of the mesh with a stiffness that goes down (the scheme of Amberg,
Romdhani & Vetter, "Optimal Step Nonrigid ICP Algorithms for Surface Registration", CVPR 2007).

`trimesh.registration.nricp_amberg` is the library's solver for the second part. It starts from an undeformed template,
where we have a fitted model; it solves for twelve numbers a vertex, a minute a step for the meshes here, where one
factorisation with three right sides takes a second; and its nearest points need an R-tree, which is not installed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csc_matrix, diags, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from common.ranges import AT_LEAST_ONE, POSITIVE, checked
from model.face.assets import HeadAssets
from model.geometry.similarity import Similarity, align_landmarks
from model.geometry.surface_distance import Surface

_MOST_POINTS = 4000
"""Vertices that the coefficients are found from: more change nothing but the time."""
_TANGENTIAL = 0.05
"""Weight of a distance along the surface beside that along the normal: points may slide, the whole may not."""
_EXPRESSION_SD = 0.15
_SCALE_SD = 0.03
"""Standard deviation of the logarithm of the scale: how tall people are is in the identity, and units are known."""
_LANDMARK_WEIGHT = 4.0
"""Of a landmark beside a vertex in the first round; it fades, since what is the same point differs between models."""
_SAME_SIDE = 0.5
"""Least cosine between the normals of a vertex and of what it is pulled to."""
_NEIGHBOURS = 8


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("rounds",), POSITIVE: ("noise_mm", "reach_mm", "outlier_mm")})
class RegistrationConfig:
    """How far a head may bend.

    Attributes:
        rounds: Of closest points and least squares, for similarity and coefficients.
        noise_mm: Standard deviation of a vertex's distance to the target, as the coefficients see it. Neighbours err
            together, so it stands far above their scatter.
        reach_mm: What lies further away is not the same place.
        outlier_mm: Distance at which a vertex counts half.
        stiffness: Of the displacements, round after round; empty for none.
        expressions: Whether the target may show an expression.
    """

    rounds: int = 25
    noise_mm: float = 6.0
    reach_mm: float = 15.0
    outlier_mm: float = 4.0
    stiffness: tuple[float, ...] = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
    expressions: bool = True


@dataclass(frozen=True)
class Anchors:
    """Points that are known on the head and on the target.

    Attributes:
        corners: Vertices of the head around each.
        weights: Their weights.
        target_mm: Where it lies on the target.
    """

    corners: Int[np.ndarray, "point 3"]
    weights: Float[np.ndarray, "point 3"]
    target_mm: Float[np.ndarray, "point 3"]

    def on(self, vertices: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "point 3"]:
        """Where they lie on a head of these vertices."""
        return np.einsum("pcx,pc->px", vertices[self.corners], self.weights)


@dataclass(frozen=True)
class Registration:
    """A head on its target.

    Attributes:
        place: From the head's space to the target's.
        identity: Standard deviations.
        expression: Weights.
        fitted_mm: Vertices that the model itself reaches, in the target's space.
        vertices_mm: Vertices after the displacements.
        pulled: Vertices that found a place on the target.
    """

    place: Similarity
    identity: Float[np.ndarray, " identity"]
    expression: Float[np.ndarray, " expression"]
    fitted_mm: Float[np.ndarray, "vertex 3"]
    vertices_mm: Float[np.ndarray, "vertex 3"]
    pulled: Bool[np.ndarray, " vertex"]


class Target:
    """A surface that vertices are pulled to."""

    def __init__(self, vertices_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> None:
        """Take a mesh, in mm.

        Raises:
            ValueError: If it has no triangle with an area, or vertices that are not finite.
        """
        self._surface = Surface(vertices_mm, faces)
        edges = np.sort(np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])), axis=1)
        _, inverse, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
        # A vertex beyond the target's border finds the border, which is not its place.
        self._at_border = (count[inverse] == 1).reshape(3, -1).any(0)

    def pull(
        self, points_mm: Float[np.ndarray, "point 3"], normals: Float[np.ndarray, "point 3"], reach_mm: float
    ) -> tuple[Float[np.ndarray, "point 3"], Float[np.ndarray, "point 3"], Bool[np.ndarray, " point"]]:
        """The nearest place to each point, its normal, and whether it may be the same place."""
        nearest = self._surface.nearest(points_mm, exact=False)
        facing = self._surface.normals(nearest.face)
        same_side = (facing * normals).sum(1) > _SAME_SIDE
        return (
            nearest.position_mm,
            facing,
            same_side & (nearest.distance_mm < reach_mm) & ~self._at_border[nearest.face],
        )


def register(
    head: HeadAssets,
    target: Target,
    anchors: Anchors,
    takes_part: Bool[np.ndarray, " vertex"],
    config: RegistrationConfig | None = None,
) -> Registration:
    """Lay a head onto a target.

    Args:
        head: The head.
        target: The surface, in mm.
        anchors: Three points or more to begin with, not all on a line.
        takes_part: Vertices that may lie on the target: the skin, not the teeth.
        config: How far the head may bend.

    Raises:
        ValueError: If there are too few anchors, or no vertex finds the target.
    """
    config = config or RegistrationConfig()
    if len(anchors.target_mm) < 3:
        raise ValueError(f"{len(anchors.target_mm)} landmarks known on both surfaces, at least 3 are needed")
    fit = _CoefficientFit(head, target, anchors, takes_part, config)
    for number in range(config.rounds):
        fit.step(number / config.rounds)
    fitted_mm = fit.place.apply(fit.shape())
    pulled_at_all = np.zeros(len(fitted_mm), bool)
    vertices_mm = fitted_mm
    if config.stiffness:
        bend = _Bend(fitted_mm, head.faces, takes_part)
        for stiffness in config.stiffness:
            vertices_mm, pulled_at_all = bend.step(target, vertices_mm, stiffness, config)
        vertices_mm = _with_loose_parts(fitted_mm, vertices_mm, head.faces, pulled_at_all)
    return Registration(fit.place, fit.identity, fit.expression, fitted_mm, vertices_mm, pulled_at_all)


class _CoefficientFit:
    """Similarity, identity and expression, moved step by step."""

    def __init__(
        self,
        head: HeadAssets,
        target: Target,
        anchors: Anchors,
        takes_part: Bool[np.ndarray, " vertex"],
        config: RegistrationConfig,
    ) -> None:
        self._head, self._target, self._anchors, self._config = head, target, anchors, config
        rows = np.flatnonzero(takes_part)
        self._rows = rows[:: max(1, len(rows) // _MOST_POINTS)]
        self.identity = np.zeros(len(head.identity_basis))
        self.expression = np.zeros(len(head.expression_basis))
        self.place = align_landmarks(anchors.on(head.vertices_mm.astype(float)), anchors.target_mm, scaled=True)
        self._bases = np.concatenate((head.identity_basis, head.expression_basis))

    def shape(self) -> Float[np.ndarray, "vertex 3"]:
        coefficients = np.concatenate((self.identity, self.expression)).astype(np.float32)
        return self._head.vertices_mm.astype(float) + np.tensordot(coefficients, self._bases, 1)

    def step(self, progress: float) -> None:
        config, shape = self._config, self.shape()
        points = self.place.apply(shape)
        normals = vertex_normals(points, self._head.faces)[self._rows]
        reach_mm = config.reach_mm * (2.0 - progress)
        position, facing, found = self._target.pull(points[self._rows], normals, reach_mm)
        rows, gap, facing = self._rows[found], position[found] - points[self._rows[found]], facing[found]
        trust = 1.0 / (1.0 + np.square(np.linalg.norm(gap, axis=1) / config.outlier_mm))
        basis = self.place.scale * np.einsum("kvx,yx->vyk", self._bases[:, rows], self.place.rotation)
        jacobian = np.concatenate((self._motion(points[rows]), basis), axis=2)
        along = np.einsum("vx,vxk->vk", facing, jacobian)
        strong, weak = np.sqrt(trust), np.sqrt(_TANGENTIAL * trust)
        rights = [strong * (facing * gap).sum(1), (weak[:, None] * gap).ravel()]
        lefts = [strong[:, None] * along, (weak[:, None, None] * jacobian).reshape(-1, jacobian.shape[2])]
        corners, weights = self._anchors.corners, self._anchors.weights
        known = np.einsum("kpcx,pc,yx->pyk", self._bases[:, corners], weights, self.place.rotation) * self.place.scale
        at_points = self._anchors.on(points)
        share = np.sqrt(_LANDMARK_WEIGHT * (1.0 - progress))
        lefts.append(share * np.concatenate((self._motion(at_points), known), axis=2).reshape(-1, jacobian.shape[2]))
        rights.append(share * (self._anchors.target_mm - at_points).ravel())
        self._solve(np.concatenate(lefts), np.concatenate(rights))

    def _motion(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3 7"]:
        """How points move when the whole turns, shifts and grows about the target's landmarks."""
        x, y, z = (points - self._middle).T
        zero, one = np.zeros_like(x), np.ones_like(x)
        turn = np.stack([(zero, z, -y), (-z, zero, x), (y, -x, zero)]).transpose(2, 0, 1)
        shift = np.broadcast_to(np.eye(3), (len(points), 3, 3))
        return np.concatenate((turn, shift * one[:, None, None], np.stack((x, y, z), 1)[..., None]), axis=2)

    @property
    def _middle(self) -> Float[np.ndarray, "3"]:
        return self._anchors.target_mm.mean(0)

    def _solve(self, left: Float[np.ndarray, "row unknown"], right: Float[np.ndarray, " row"]) -> None:
        config, count = self._config, len(self.identity)
        normal, wanted = left.T @ left / config.noise_mm**2, left.T @ right / config.noise_mm**2
        # Without expressions their prior is as good as rigid.
        deviation = _EXPRESSION_SD if config.expressions else 1e-6
        motion_prior = np.array([1e-9] * 6 + [_SCALE_SD**-2])
        prior = np.concatenate((motion_prior, np.ones(count), np.full(len(self.expression), deviation**-2)))
        before = np.concatenate((np.zeros(6), [np.log(self.place.scale)], self.identity, self.expression))
        normal[np.diag_indices_from(normal)] += prior
        motion = np.linalg.solve(normal, wanted - prior * before)
        rotation = Rotation.from_rotvec(motion[:3]).as_matrix()
        scale = float(np.exp(np.clip(motion[6], -0.2, 0.2)))
        moved = Similarity(scale, rotation, self._middle + motion[3:6] - scale * rotation @ self._middle)
        self.place = moved.after(self.place)
        self.identity = self.identity + motion[7 : 7 + count]
        if config.expressions:
            self.expression = np.clip(self.expression + motion[7 + count :], 0.0, 1.0)


class _Bend:
    """Displacements of the vertices, smooth over the mesh."""

    def __init__(
        self,
        fitted_mm: Float[np.ndarray, "vertex 3"],
        faces: Int[np.ndarray, "face 3"],
        takes_part: Bool[np.ndarray, " vertex"],
    ) -> None:
        self._fitted_mm, self._faces, self._takes_part = fitted_mm, faces, takes_part
        graph = vertex_graph(faces, len(fitted_mm))
        degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1.0)
        laplacian = identity(len(fitted_mm)) - diags(1.0 / degree) @ graph
        self._bending = csc_matrix(laplacian.T @ laplacian)

    def step(
        self, target: Target, vertices_mm: Float[np.ndarray, "vertex 3"], stiffness: float, config: RegistrationConfig
    ) -> tuple[Float[np.ndarray, "vertex 3"], Bool[np.ndarray, " vertex"]]:
        normals = vertex_normals(vertices_mm, self._faces)
        position, facing, found = target.pull(vertices_mm, normals, config.reach_mm)
        found = found & self._takes_part
        # Along the normal only: where on the skin it lies is for the neighbours to say.
        gap = ((position - vertices_mm) * facing).sum(1, keepdims=True)
        wanted = vertices_mm + gap * facing - self._fitted_mm
        trust = np.where(found, 1.0 / (1.0 + np.square(gap[:, 0] / config.outlier_mm)), 0.0)
        if not found.any():
            raise ValueError("no vertex of the head finds the surface: are the landmarks those of this surface?")
        # A part that nothing pulls stays; it must not make the system singular.
        system = diags(trust + 1e-4) + stiffness * self._bending
        factor = splu(csc_matrix(system), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
        return self._fitted_mm + factor.solve(trust[:, None] * wanted), found


def _with_loose_parts(
    fitted_mm: Float[np.ndarray, "vertex 3"],
    vertices_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    pulled: Bool[np.ndarray, " vertex"],
) -> Float[np.ndarray, "vertex 3"]:
    """Eyeballs, teeth and whatever hangs on nothing that is pulled go as far as the skin around them, as one."""
    count, part = connected_components(vertex_graph(faces, len(fitted_mm)), directed=False)
    held = np.flatnonzero(pulled)
    tree, moved_mm = KDTree(fitted_mm[held]), vertices_mm.copy()
    for number in range(count):
        rows = np.flatnonzero(part == number)
        if pulled[rows].any():
            continue
        near = held[tree.query(fitted_mm[rows], k=min(_NEIGHBOURS, len(held)))[1].ravel()]
        moved_mm[rows] = fitted_mm[rows] + (vertices_mm[near] - fitted_mm[near]).mean(0)
    return moved_mm


def vertex_graph(faces: Int[np.ndarray, "face 3"], count: int) -> csc_matrix:
    """Which vertices share an edge, as a symmetric matrix of ones."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    ones = np.ones(2 * len(starts))
    graph = coo_matrix((ones, (np.concatenate((starts, ends)), np.concatenate((ends, starts)))), shape=(count, count))
    graph = csc_matrix(graph)
    graph.data[:] = 1.0
    return graph


def vertex_normals(
    vertices: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]
) -> Float[np.ndarray, "vertex 3"]:
    """Unit normals, zero where no triangle with an area is; faces count by their area."""
    a, b, c = vertices[faces].swapaxes(0, 1)
    across = np.cross(b - a, c - a)
    flat = faces.ravel()
    normals = np.stack([np.bincount(flat, np.repeat(across[:, i], 3), len(vertices)) for i in range(3)], axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def anchors_of(
    head: HeadAssets, numbers: Int[np.ndarray, " point"], target_mm: Float[np.ndarray, "point 3"]
) -> Anchors:
    """Some of a head's iBUG landmarks as anchors.

    Args:
        head: A head that has `ibug68`.
        numbers: Which of the 68.
        target_mm: Where these lie on the target.
    """
    points = head.landmarks["ibug68"]
    return Anchors(head.faces[points.face[numbers]], points.barycentric[numbers].astype(float), target_mm)
