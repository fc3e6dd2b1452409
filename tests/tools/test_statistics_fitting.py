"""The batched fitter recovers heads it was given; points are put on surfaces, alike on both sides."""

import numpy as np
import pytest
import torch

from data.landmarks import IBUG68_MIRROR
from model.face.morphable_model import MorphableModel
from model.geometry.rotation import rotation_from_euler
from tests.small_world import toy_head
from tools.statistics.fitting import FitConfig, PointModel, fit_points, normalized_mean_error, point_model
from tools.statistics.surface import (
    SurfacePoints,
    edge_path,
    nearest_on_path,
    nearest_on_surface,
    symmetric_points,
)

pytestmark = pytest.mark.slow

EXACT = FitConfig(iterations=40, noise_mm=1e-2, depth_weight=1.0)


def random_model(points: int = 60) -> PointModel:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(points, 3, generator=generator) * torch.tensor([50.0, 70.0, 30.0])
    identity = torch.randn(4, points, 3, generator=generator) * 3.0
    expression = torch.randn(5, points, 3, generator=generator) * 4.0
    return PointModel(mean, identity, expression)


def pictures(model: PointModel, identity: torch.Tensor, expression: torch.Tensor, yaws: list[float]) -> tuple:
    count = len(yaws)
    angles = torch.tensor([[yaw, 0.2, -0.1] for yaw in yaws])
    rotation = rotation_from_euler(angles)
    scale, shift = torch.linspace(0.5, 2.0, count), torch.arange(3.0 * count).reshape(count, 3)
    shape = (
        model.mean_mm
        + torch.einsum("nk,klx->nlx", identity, model.identity_basis)
        + torch.einsum("nk,klx->nlx", expression, model.expression_basis)
    )
    return rotation, scale, shift, scale[:, None, None] * shape @ rotation.transpose(1, 2) + shift[:, None]


def test_exact_labels_give_back_the_head_and_its_pose() -> None:
    model = random_model()
    generator = torch.Generator().manual_seed(1)
    identity = torch.randn(6, 4, generator=generator)
    expression = torch.rand(6, 5, generator=generator)
    expression[0] = torch.tensor([0.0, 1.0, 0.0, 0.5, 0.0])
    rotation, scale, shift, labels = pictures(model, identity, expression, [0.0, 0.3, -0.6, 0.9, -1.2, 1.5])
    fit = fit_points(model, labels, EXACT)
    torch.testing.assert_close(fit.identity, identity, atol=0.02, rtol=0.0)
    torch.testing.assert_close(fit.expression, expression, atol=0.02, rtol=0.0)
    torch.testing.assert_close(fit.rotation, rotation, atol=0.005, rtol=0.0)
    torch.testing.assert_close(fit.scale, scale, atol=0.0, rtol=0.005)
    torch.testing.assert_close(fit.shift_px, shift, atol=0.5, rtol=0.0)
    assert normalized_mean_error(fit.residual_px, scale * 100.0).max() < 0.1


def test_expressions_stay_in_their_range_and_priors_pull() -> None:
    model = random_model()
    _, _, _, labels = pictures(model, torch.full((1, 4), 2.0), torch.tensor([[-0.8, 1.9, 0.2, -0.3, 0.5]]), [0.2])
    believed = fit_points(model, labels, EXACT)
    doubted = fit_points(model, labels, FitConfig(noise_mm=50.0))
    assert believed.expression.min() >= 0.0
    assert believed.expression.max() <= 1.0
    assert doubted.identity.norm() < 0.5 * believed.identity.norm()
    center = torch.tensor([1.0, 0.0, 0.0, 0.0])
    vague = fit_points(model, labels, FitConfig(noise_mm=1e4), identity_center=center)
    torch.testing.assert_close(vague.identity[0], center, atol=1e-2, rtol=0.0)


def test_points_are_put_symmetrically_on_the_surface() -> None:
    head = toy_head()
    everywhere = np.arange(len(head.faces))

    def project(points: np.ndarray) -> SurfacePoints:
        return nearest_on_surface(points, head.vertices_mm, head.faces, everywhere)

    stored = head.landmarks["ibug68"]
    start = SurfacePoints(stored.face, stored.barycentric).evaluate(head.vertices_mm, head.faces)
    lopsided = start + np.random.default_rng(0).normal(0.0, 2.0, (68, 3)).astype(np.float32)
    points = symmetric_points(head, lopsided, IBUG68_MIRROR, project)
    placed = points.evaluate(head.vertices_mm, head.faces)
    np.testing.assert_allclose(placed[IBUG68_MIRROR] * (-1.0, 1.0, 1.0), placed, atol=0.5)
    middle = np.arange(68) == IBUG68_MIRROR
    np.testing.assert_allclose(placed[middle, 0], 0.0, atol=1e-5)
    # The first of each pair is where it was asked for, but for the way to the surface.
    first = np.arange(68) < IBUG68_MIRROR
    wanted = project(lopsided).evaluate(head.vertices_mm, head.faces)
    np.testing.assert_allclose(placed[first], wanted[first], atol=1e-3)
    # A head that changes symmetrically takes them along symmetrically.
    changed = head.vertices_mm + 2.0 * head.identity_basis[1]
    moved = points.evaluate(changed, head.faces)
    np.testing.assert_allclose(moved[IBUG68_MIRROR] * (-1.0, 1.0, 1.0), moved, atol=0.5)


def test_a_point_model_is_the_head_at_the_points() -> None:
    head = toy_head()
    stored = head.landmarks["ibug68"]
    model = point_model(head, SurfacePoints(stored.face, stored.barycentric))
    full = MorphableModel(head)
    identity, expression = torch.linspace(-1.0, 1.0, 6)[None], torch.linspace(0.0, 1.0, 52)[None]
    expected = full.landmarks(full.vertices_mm(identity, expression))[0]
    found = (
        model.mean_mm
        + torch.einsum("k,klx->lx", identity[0], model.identity_basis)
        + torch.einsum("k,klx->lx", expression[0], model.expression_basis)
    )
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0.0)


def test_points_are_projected_onto_triangles_and_paths() -> None:
    head = toy_head()
    middles = head.vertices_mm[head.faces].mean(1)
    placed = nearest_on_surface(middles * 1.01, head.vertices_mm, head.faces, np.arange(len(head.faces)))
    np.testing.assert_allclose(placed.barycentric.sum(1), 1.0, atol=1e-5)
    assert np.linalg.norm(placed.evaluate(head.vertices_mm, head.faces) - middles, axis=1).max() < 3.0
    first, last = 10, len(head.vertices_mm) - 10
    path = edge_path(np.array([first, last]), head.vertices_mm, head.faces)
    assert (path[0], path[-1]) == (first, last)
    on_path = nearest_on_path(head.vertices_mm[path], path, head.vertices_mm, head.faces)
    np.testing.assert_allclose(on_path.evaluate(head.vertices_mm, head.faces), head.vertices_mm[path], atol=1e-3)
