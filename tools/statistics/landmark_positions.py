"""Move a head's landmarks on its surface to where the labels of photographs want them.

What the labels ask of a point beyond the fitted shape has two possible causes: the point sits elsewhere on the surface
than the labellers' point, or the photographed people differ from the mean head. Left free, the positions soak up both
and drift (the fit improves at every round while the identities lose their variance). So both are estimated together:
a shared mean identity and a displacement of each point, each with a prior of zero mean, both from the start position.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.face.assets import HeadAssets
from tools.statistics.fitting import FitConfig, PointFit, PointModel, fit_points
from tools.statistics.surface import SurfacePoints, nearest_on_edges

Projection = Callable[[Float[np.ndarray, "point 3"]], SurfacePoints]

_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


@dataclass(frozen=True)
class MoveConfig:
    """How far points may go.

    Attributes:
        rounds: Alternations of fitting and moving.
        displacement_sd_mm: Prior of a point's move from its start.
        mean_identity_sd: Prior of the photographed people's mean identity, in standard deviations of the head.
        unexplained_sd_mm: How exactly move and mean identity must add up to what the labels ask.
        outlier: Residual, as a fraction of the face's size, at which a label counts half.
    """

    rounds: int = 2
    displacement_sd_mm: float = 4.0
    mean_identity_sd: float = 0.5
    unexplained_sd_mm: float = 0.5
    outlier: float = 0.03


@dataclass(frozen=True)
class PlacedLandmarks:
    """Landmarks on the surface and the people they were found with.

    Attributes:
        points: Where they lie.
        mean_identity: Mean identity of the photographs, standard deviations.
    """

    points: SurfacePoints
    mean_identity: Float[np.ndarray, " identity"]


def point_model(head: HeadAssets, points: SurfacePoints) -> PointModel:
    """The head at some points only."""
    arrays = (head.vertices_mm, head.identity_basis, head.expression_basis)
    return PointModel(*(torch.from_numpy(points.evaluate(array, head.faces)) for array in arrays))


def place_landmarks(
    head: HeadAssets,
    start_mm: Float[np.ndarray, "point 3"],
    mirror: Int[np.ndarray, " point"],
    project: Projection,
    labels_px: Float[Tensor, "photo point 3"],
    box_px: Float[Tensor, " photo"],
    fit: FitConfig,
    move: MoveConfig,
    anchor: PlacedLandmarks | None = None,
    point_weight: Float[Tensor, " all_points"] | None = None,
) -> PlacedLandmarks:
    """Alternate fitting the head to the labels and moving its landmarks, always mirror-symmetric.

    Args:
        head: The head.
        start_mm: Where the points start, symmetric.
        mirror: Each point's partner.
        project: Puts points on the part of the surface each may lie on.
        labels_px: As for `fit_points`; the anchor's points first, then those to place.
        box_px: Face sizes.
        fit: Trust in the labels.
        move: Trust in the start.
        anchor: Points that stay where they are and take part in the fits, so that both sets see the same people;
            their mean identity is kept too.
        point_weight: Weight of every label, the anchor's first; ones if not given.

    Returns:
        The positions after the last round.
    """
    placed = symmetric_projection(head, start_mm, mirror, project)
    identity_count = len(head.identity_basis)
    mean_identity = np.zeros(identity_count, np.float32) if anchor is None else anchor.mean_identity
    for _ in range(move.rounds):
        every = placed if anchor is None else _join(anchor.points, placed)
        center = torch.from_numpy(mean_identity)
        fits = fit_points(point_model(head, every), labels_px, fit, identity_center=center, point_weight=point_weight)
        model = point_model(head, placed)
        asked = _asked_displacement(fits, box_px, fit, move)[-len(start_mm) :]
        people = fits.identity.mean(0) @ model.identity_basis.flatten(1)
        total = model.mean_mm.numpy() - start_mm + asked + people.reshape(-1, 3).numpy()
        total = 0.5 * (total + total[mirror] * _FLIP)
        basis = symmetric_basis(model.identity_basis.numpy(), mirror)
        if anchor is None:
            mean_identity = _mean_identity(total, basis, move)
        left = total - np.einsum("k,klx->lx", mean_identity, basis)
        share = move.displacement_sd_mm**2 / (move.displacement_sd_mm**2 + move.unexplained_sd_mm**2)
        placed = symmetric_projection(head, start_mm + share * left, mirror, project)
    return PlacedLandmarks(placed, mean_identity)


def _join(first: SurfacePoints, second: SurfacePoints) -> SurfacePoints:
    return SurfacePoints(
        np.concatenate([first.face, second.face]), np.concatenate([first.barycentric, second.barycentric])
    )


def symmetric_basis(basis: Float[np.ndarray, "k point 3"], mirror: Int[np.ndarray, " point"]) -> np.ndarray:
    """The mirror-symmetric half of each component."""
    return 0.5 * (basis + basis[:, mirror] * _FLIP)


def symmetric_projection(
    head: HeadAssets, points_mm: np.ndarray, mirror: Int[np.ndarray, " point"], project: Projection
) -> SurfacePoints:
    """Project the points, then put every second partner where the first one's mirror image lies.

    By the head's mirror table where both halves are triangulated alike, else by projection. Points that are their own
    partners go onto edges in the plane of symmetry.
    """
    placed = project(points_mm)
    face, weights = placed.face.copy(), placed.barycentric.copy()
    second = np.flatnonzero(mirror < np.arange(len(mirror)))
    first = mirror[second]
    goal = placed.evaluate(head.vertices_mm, head.faces)
    goal[second] = goal[first] * _FLIP
    again = project(goal)
    face[second], weights[second] = again.face[second], again.barycentric[second]
    table = {tuple(sorted(corners)): index for index, corners in enumerate(head.faces.tolist())}
    for point, partner in zip(first, second, strict=True):
        corners = head.mirror[head.faces[placed.face[point]]].tolist()
        found = table.get(tuple(sorted(corners)))
        if found is not None:
            face[partner] = found
            weights[partner] = placed.barycentric[point][[corners.index(c) for c in head.faces[found].tolist()]]
    middle = np.flatnonzero(mirror == np.arange(len(mirror)))
    on_middle = head.mirror[head.faces] == head.faces
    corner_pairs = [(0, 1), (1, 2), (2, 0)]
    edges = np.concatenate([head.faces[on_middle[:, [a, b]].all(1)][:, [a, b]] for a, b in corner_pairs])
    if len(edges):
        between = nearest_on_edges(goal[middle], edges, head.vertices_mm, head.faces)
        face[middle], weights[middle] = between.face, between.barycentric
    return SurfacePoints(face, weights)


def _asked_displacement(fits: PointFit, box_px: Tensor, fit: FitConfig, move: MoveConfig) -> np.ndarray:
    """Least-squares displacement of each point in the head's frame that removes the mean residual, mm."""
    distance = fits.residual_px[..., :2].norm(dim=-1) / box_px[:, None]
    trust = 1.0 / (1.0 + (distance / move.outlier) ** 2)
    trust = trust * (fits.scale / box_px).square()[:, None]
    axis_weight = torch.tensor([1.0, 1.0, fit.depth_weight**2])
    metric = torch.einsum("nyx,y,nyz->nxz", fits.rotation, axis_weight, fits.rotation)
    residual_mm = torch.einsum("nlx,nxy->nly", fits.residual_px / fits.scale[:, None, None], fits.rotation)
    hessian = torch.einsum("nl,nxz->lxz", trust, metric)
    gradient = torch.einsum("nl,nxz,nlz->lx", trust, metric, residual_mm)
    ridge = 0.02 * hessian.diagonal(dim1=1, dim2=2).mean() * torch.eye(3)
    return torch.linalg.solve(hessian + ridge, gradient).numpy()


def _mean_identity(total_mm: np.ndarray, basis: np.ndarray, move: MoveConfig) -> np.ndarray:
    """Most probable mean identity, with displacements of all points integrated out (their variances add)."""
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    variance = move.displacement_sd_mm**2 + move.unexplained_sd_mm**2
    precision = flat @ flat.T / variance + np.eye(len(flat)) / move.mean_identity_sd**2
    return np.linalg.solve(precision, flat @ total_mm.reshape(-1) / variance).astype(np.float32)
