"""The parts of a head that photographs do not show: skin follows the face's tone, the rest is painted by geometry."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import spsolve

from model.face.assets import HeadAssets

# Linear RGB. Pigment of the parts under the surface does not follow the skin's.
_SCLERA = np.array([0.56, 0.50, 0.46])
_SCLERA_CORNER = np.array([0.46, 0.33, 0.29])
_IRIS = np.array([0.090, 0.055, 0.032])
_LIMBUS = np.array([0.035, 0.025, 0.020])
_PUPIL = np.array([0.008, 0.008, 0.008])
_TEETH = np.array([0.56, 0.50, 0.40])
_TONGUE = np.array([0.34, 0.12, 0.11])
_MOUTH = np.array([0.20, 0.055, 0.05])
_IRIS_RADIUS_MM, _PUPIL_RADIUS_MM = 5.9, 2.0

_TINT = {"ears": (1.03, 0.95, 0.94), "scalp": (0.97, 0.97, 0.97), "neck": (0.92, 0.92, 0.92)}
"""Unseen skin beside the mean of the face: ears redder, scalp and neck a little darker."""


def adjacency(faces: np.ndarray, vertex_count: int) -> csr_matrix:
    """1 where an edge joins two vertices."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    matrix = csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(vertex_count, vertex_count))
    matrix.data[:] = 1.0
    return matrix


def averaging(neighbours: csr_matrix) -> csr_matrix:
    """The matrix that replaces every value by the mean of its neighbours'."""
    degree = np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1.0)
    return csr_matrix(diags(1.0 / degree) @ neighbours)


def extend_skin(
    head: HeadAssets,
    learned: Float[np.ndarray, "map vertex 3"],
    confidence: Float[np.ndarray, " vertex"],
    reference: Bool[np.ndarray, " vertex"],
    smoothness: float = 2.0,
) -> Float[np.ndarray, "map vertex 3"]:
    """Continue the mean and each component over all skin.

    Where confidence is low a map tends to its own average over the reference area (cheeks, nose, forehead), tinted by
    region: so scalp, neck and ears move with the skin tone exactly as the components do. A screened Poisson equation
    joins both without an edge: `(C + (1 - C) e + s Laplacian) x = C learned + (1 - C) e fallback`.

    Args:
        head: The head, with regions `skin`, `ears`, `scalp`, `neck`.
        learned: Maps; anything where confidence is 0.
        confidence: In [0, 1].
        reference: Vertices whose average stands for the skin tone.
        smoothness: Strength of the Laplacian beside a confidence of 1 in unseen areas; seen areas keep their detail.

    Returns:
        The maps over all vertices; meaningful on skin.
    """
    skin = np.flatnonzero(head.regions["skin"])
    tint = np.ones((len(head.vertices_mm), 3))
    for name, factor in _TINT.items():
        tint[head.regions[name]] = factor
    neighbours = csr_matrix(adjacency(head.faces, len(head.vertices_mm))[skin][:, skin])
    blur = averaging(neighbours)
    for _ in range(12):
        tint[skin] = blur @ tint[skin]
    sure = confidence[skin].clip(0.0, 1.0)
    pull = 0.02 * (1.0 - sure)
    doubt = diags(np.sqrt(1.0 - sure))
    links = csr_matrix(doubt @ neighbours @ doubt)
    laplacian = diags(np.asarray(links.sum(1)).ravel()) - links
    system = (diags(sure + pull + 1e-6) + smoothness * laplacian).tocsc()
    tone = learned[:, reference].mean(1)
    fallback = tone[:, None] * tint[skin]
    right = sure[None, :, None] * learned[:, skin] + (pull + 1e-6)[None, :, None] * fallback
    flat = right.transpose(1, 0, 2).reshape(len(skin), -1)
    solved = np.asarray(spsolve(system, flat)).reshape(len(skin), len(learned), 3).transpose(1, 0, 2)
    result = learned.copy()
    result[:, skin] = solved
    return result


def paint_inner_parts(
    head: HeadAssets, mean: Float[np.ndarray, "vertex 3"], basis: Float[np.ndarray, "component vertex 3"]
) -> tuple[Float[np.ndarray, "vertex 3"], Float[np.ndarray, "component vertex 3"]]:
    """Paint eyeballs (sclera, iris, pupil), teeth, tongue and the inside of the mouth; their components are 0."""
    mean, basis = mean.copy(), basis.copy()
    for name, color in (("mouth_inner", _MOUTH), ("tongue", _TONGUE), ("teeth", _TEETH)):
        mean[head.regions[name]] = color
        basis[:, head.regions[name]] = 0.0
    for name in ("left_eye", "right_eye"):
        eye = head.regions[name]
        mean[eye] = eyeball_color(head.vertices_mm[eye])
        basis[:, eye] = 0.0
    return mean, basis


def eyeball_color(vertices_mm: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "vertex 3"]:
    """Colour of one eyeball that looks along +z, by the distance from its axis."""
    center = 0.5 * (vertices_mm.min(0) + vertices_mm.max(0))
    offset = vertices_mm - center
    radius = np.linalg.norm(offset[:, :2], axis=1)
    front = offset[:, 2] > 0
    to_corner = ((radius - 6.5) / 4.5).clip(0, 1)[:, None]
    color = (1 - to_corner) * _SCLERA + to_corner * _SCLERA_CORNER

    def blend(inner: np.ndarray, color: np.ndarray, edge_mm: float, width_mm: float) -> np.ndarray:
        share = ((edge_mm + 0.5 * width_mm - radius) / width_mm).clip(0, 1) * front
        return share[:, None] * inner + (1 - share[:, None]) * color

    color = blend(_LIMBUS, color, _IRIS_RADIUS_MM, 0.9)
    color = blend(_IRIS, color, _IRIS_RADIUS_MM - 0.8, 1.0)
    return blend(_PUPIL, color, _PUPIL_RADIUS_MM, 0.6).astype(np.float32)
