"""Colours where no photograph saw the head: the model's, led into the photograph's without a step."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csc_matrix, diags, spmatrix
from scipy.sparse.linalg import SuperLU, splu

_STIFFNESS = 0.3
"""Weight of smoothness against a fully seen vertex."""
_RESTORING = 3e-4
"""Weight that draws the far side back to the model's own tone; also what keeps unseen parts (teeth) determined."""


def continue_difference(
    difference: Float[np.ndarray, "vertex channel"],
    weight: Float[np.ndarray, " vertex"],
    laplacian: csc_matrix,
    far: Float[np.ndarray, "vertex channel"] | Float[np.ndarray, " channel"],
) -> Float[np.ndarray, "vertex channel"]:
    """Extend what is known on part of a mesh over all of it, as smoothly as possible.

    Least squares of `weight (d - difference)^2 + stiffness |graph gradient of d|^2 + restoring (d - far)^2`: a screened
    Poisson equation on the mesh (Perez et al., "Poisson Image Editing", SIGGRAPH 2003, use it in the plane).

    Args:
        difference: Known values; what has no weight is ignored.
        weight: How far each is known, in [0, 1].
        laplacian: `graph_laplacian` of the mesh.
        far: Value far from everything known, of each vertex or of all.
    """
    system = diags(weight + _RESTORING) + _STIFFNESS * laplacian
    right = weight[:, None] * difference + _RESTORING * far
    return factorized(system).solve(right.astype(np.float64)).astype(np.float32)


def continue_mirrored(
    difference: Float[np.ndarray, "vertex channel"],
    weight: Float[np.ndarray, " vertex"],
    mirror: Int[np.ndarray, " vertex"],
    laplacian: csc_matrix,
    far: Float[np.ndarray, "vertex channel"] | Float[np.ndarray, " channel"],
) -> Float[np.ndarray, "vertex channel"]:
    """Extend what is known of a symmetric thing: where one side is hidden, by the other's course, without a seam.

    As `continue_difference`, but the graph gradient is drawn to that of the mirror image instead of 0: what the hidden
    side takes over is how the seen one varies, not its level (Perez' cloning instead of his interpolation).

    Args:
        difference: Known values; what has no weight is ignored.
        weight: How far each is known, in [0, 1].
        mirror: Mirror vertex of each vertex.
        laplacian: `graph_laplacian` of the mesh.
        far: Value far from everything known, of each vertex or of all.
    """
    solver = factorized(diags(weight + _RESTORING) + _STIFFNESS * laplacian)
    known = weight[:, None] * difference + _RESTORING * far
    once = solver.solve(known.astype(np.float64))
    return solver.solve(known + _STIFFNESS * (laplacian @ once[mirror])).astype(np.float32)


def factorized(system: spmatrix) -> SuperLU:
    """A symmetric, positive definite system, ready to be solved: without pivoting, in a third of the time."""
    options = {"SymmetricMode": True}
    return splu(csc_matrix(system), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)


def continue_inwards(
    values: Float[np.ndarray, "vertex channel"],
    hidden: Bool[np.ndarray, " vertex"],
    among: Bool[np.ndarray, " vertex"],
    laplacian: csc_matrix,
) -> Float[np.ndarray, "vertex channel"]:
    """Values of hidden vertices from those about them: as smooth as can be, without any guide (Laplace's equation).

    Args:
        values: Of all vertices; those of hidden ones are ignored.
        hidden: Which are to be found.
        among: Which count at all; edges to others are cut.
        laplacian: `graph_laplacian` of the mesh.
    """
    rows = np.flatnonzero(hidden & among)
    seen = np.flatnonzero(among & ~hidden)
    links = -laplacian.tocsr()[rows]
    to_hidden, to_seen = links[:, rows].tolil(), links[:, seen]
    to_hidden.setdiag(0.0)
    to_hidden = to_hidden.tocsc()
    degree = np.asarray(to_hidden.sum(1)).ravel() + np.asarray(to_seen.sum(1)).ravel()
    # A piece without a rim keeps what it has.
    system = diags(degree + 1e-6) - to_hidden
    right = to_seen @ values[seen] + 1e-6 * values[rows]
    found = values.copy()
    found[rows] = factorized(system).solve(np.asarray(right, np.float64)).astype(np.float32)
    return found


def spread(mask: Float[np.ndarray, " vertex"], laplacian: csc_matrix, rings: int = 4) -> Float[np.ndarray, " vertex"]:
    """Soften a mask's edge over a few rings of neighbours; values stay in [0, 1]."""
    # A step of diffusion is an average, with no weight below 0, while it is at most 1 over the largest degree.
    step = 1.0 / laplacian.diagonal().max()
    for _ in range(rings):
        mask = mask - step * (laplacian @ mask)
    return mask.astype(np.float32)


def graph_laplacian(faces: Int[np.ndarray, "face 3"], count: int) -> csc_matrix:
    """Degree minus adjacency, over the edges of a mesh with `count` vertices."""
    starts, ends = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    # Both directions of an edge, once each: an edge of one triangle only (a border) has one direction of its own.
    # A pair as one number: rows of two are sorted ten times as slowly.
    first, second = np.concatenate([starts, ends]).astype(np.int64), np.concatenate([ends, starts])
    pairs = np.divmod(np.unique(first * count + second), count)
    adjacency = coo_matrix((np.ones(len(pairs[0])), pairs), shape=(count, count)).tocsc()
    return csc_matrix(diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency)
