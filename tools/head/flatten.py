"""A disc of triangles laid flat onto a rectangle without folds, each triangle as near to its shape and share as can be.

Tutte's embedding ("How to draw a graph", 1963) gives a start without folds. Then the symmetric Dirichlet energy, which
is infinite for a folded triangle, is lowered by reweighted least squares (Rabinovich et al., "Scalable Locally
Injective Mappings", ACM TOG 2017), while the border slides along the rectangle's sides.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import splu

_PROXIMITY = 1e-4
"""Weight that keeps a step near its start: the system stays regular."""
_SHORTEST_STEP = 1e-4


@dataclass(frozen=True)
class Frame:
    """What of the vertices is held: the sides of the rectangle.

    Attributes:
        held: Coordinates that do not move, u and v of each vertex.
        places: Their values; elsewhere a place to start Tutte's embedding's border from.
        border: Vertices whose start is `places` in both coordinates.
    """

    held: Bool[np.ndarray, "vertex 2"]
    places: Float[np.ndarray, "vertex 2"]
    border: Bool[np.ndarray, " vertex"]


def flatten(
    points_mm: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    area_share: Float[np.ndarray, " face"],
    care: Float[np.ndarray, " face"],
    frame: Frame,
    steps: int = 60,
) -> Float[np.ndarray, "vertex 2"]:
    """Texture coordinates of a disc of triangles, counter-clockwise, none folded.

    Args:
        points_mm: Its vertices in space.
        faces: Its triangles.
        area_share: Area that each shall have in the texture.
        care: How much its distortion counts for each unit of that area.
        frame: The rectangle.
        steps: Of the reweighting.

    Raises:
        ValueError: If the border is such that a triangle is folded from the start.
    """
    uv = _tutte(faces, len(points_mm), frame)
    gradients = _gradients(points_mm, faces, area_share)
    if not (_areas(uv, faces) > 0.0).all():
        raise ValueError("the disc's border folds triangles: two borders of one triangle lie on one side")
    weight = area_share * care
    energy = _energy(_jacobians(uv, faces, gradients), weight)
    for _ in range(steps):
        goal = _proxy(uv, faces, gradients, weight, frame)
        uv, after = _searched(uv, goal - uv, energy, faces, gradients, weight)
        if energy - after < 1e-7 * energy:
            break
        energy = after
    return uv


def _tutte(faces: Int[np.ndarray, "face 3"], count: int, frame: Frame) -> Float[np.ndarray, "vertex 2"]:
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    pairs = np.unique(np.sort(np.stack((starts, ends), 1), axis=1), axis=0)
    rows, columns = np.concatenate((pairs, pairs[:, ::-1])).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()
    laplacian = csc_matrix(diags(np.asarray(graph.sum(1)).ravel()) - graph)
    inner, uv = np.flatnonzero(~frame.border), frame.places.copy()
    right = -laplacian[inner][:, frame.border] @ frame.places[frame.border]
    uv[inner] = splu(csc_matrix(laplacian[inner][:, inner])).solve(right)
    return uv


def _gradients(
    points_mm: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"], area_share: Float[np.ndarray, " face"]
) -> Float[np.ndarray, "face 3 2"]:
    """Of the three corners' hat functions over each triangle, laid flat and brought to its share of area."""
    a, b, c = points_mm[faces].astype(np.float64).swapaxes(0, 1)
    along = b - a
    length = np.linalg.norm(along, axis=1)
    x = ((c - a) * along).sum(1) / length
    y = np.linalg.norm(np.cross(along, c - a), axis=1) / length
    scale = np.sqrt(area_share / (0.5 * length * y))
    flat = np.zeros((len(faces), 3, 2))
    flat[:, 1, 0], flat[:, 2, 0], flat[:, 2, 1] = length, x, y
    flat *= scale[:, None, None]
    edges = np.stack((flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]), axis=1)
    inverse = np.linalg.inv(edges)
    return np.stack((-inverse.sum(2), inverse[..., 0], inverse[..., 1]), axis=1)


def _jacobians(
    uv: Float[np.ndarray, "vertex 2"], faces: Int[np.ndarray, "face 3"], gradients: Float[np.ndarray, "face 3 2"]
) -> Float[np.ndarray, "face 2 2"]:
    return np.einsum("fci,fcj->fij", uv[faces], gradients)


def _areas(uv: Float[np.ndarray, "vertex 2"], faces: Int[np.ndarray, "face 3"]) -> Float[np.ndarray, " face"]:
    one, two = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return 0.5 * (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])


def _energy(jacobians: Float[np.ndarray, "face 2 2"], weight: Float[np.ndarray, " face"]) -> float:
    determinant = np.linalg.det(jacobians)
    if determinant.min() <= 0.0:
        return np.inf
    square = (jacobians**2).sum((1, 2))
    return float((weight * square * (1.0 + 1.0 / determinant**2)).sum())


def _proxy(
    uv: Float[np.ndarray, "vertex 2"],
    faces: Int[np.ndarray, "face 3"],
    gradients: Float[np.ndarray, "face 3 2"],
    weight: Float[np.ndarray, " face"],
    frame: Frame,
) -> Float[np.ndarray, "vertex 2"]:
    """Where reweighted least squares would put the vertices: each triangle near its rotation, weighted."""
    left, sigma, right = np.linalg.svd(_jacobians(uv, faces, gradients))
    rotation = left @ right
    # The square of the weight of a singular value s, (s - s^-3) / (s - 1), without its hole at 1.
    pull = np.sqrt((sigma**2 + 1.0) * (sigma + 1.0) / sigma**3)
    weighted = np.sqrt(weight)[:, None, None] * np.einsum("fij,fj,fkj->fik", left, pull, left)
    # Rows: two weighted rows of J for each of the two columns; unknowns: u of all vertices, then v.
    count, number = len(uv), np.arange(len(faces))
    rows, columns, values = [], [], []
    for i in range(2):
        for j in range(2):
            for k in range(2):
                for corner in range(3):
                    rows.append(4 * number + 2 * i + j)
                    columns.append(k * count + faces[:, corner])
                    values.append(weighted[:, i, k] * gradients[:, corner, j])
    system = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(4 * len(faces), 2 * count)
    ).tocsr()
    wanted = np.einsum("fik,fkj->fij", weighted, rotation).reshape(-1)
    flat, held = uv.T.ravel(), frame.held.T.ravel()
    free = ~held
    part = system[:, free]
    near = _PROXIMITY * weight.mean()
    normal = part.T @ part + near * diags(np.ones(int(free.sum())))
    answer = flat.copy()
    answer[free] = splu(csc_matrix(normal)).solve(part.T @ (wanted - system[:, held] @ flat[held]) + near * flat[free])
    return answer.reshape(2, -1).T


def _searched(
    uv: Float[np.ndarray, "vertex 2"],
    direction: Float[np.ndarray, "vertex 2"],
    energy: float,
    faces: Int[np.ndarray, "face 3"],
    gradients: Float[np.ndarray, "face 3 2"],
    weight: Float[np.ndarray, " face"],
) -> tuple[Float[np.ndarray, "vertex 2"], float]:
    """The first of ever shorter steps that lowers the energy; no step where none does."""
    length = 1.0
    while length > _SHORTEST_STEP:
        moved = uv + length * direction
        after = _energy(_jacobians(moved, faces, gradients), weight)
        if after < energy:
            return moved, after
        length *= 0.7
    return uv, energy
