"""A head finds its way under points of its own surface that were bent, scaled, turned and shifted."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.face.assets import HeadAssets
from model.geometry.rotation import rotation_from_euler
from tests.small_world import toy_head
from tools.statistics.registration import RegistrationConfig, register_points, similarity
from tools.statistics.surface import SurfacePoints, nearest_on_surface

pytestmark = pytest.mark.slow

SCALE, SHIFT = 0.37, np.array([12.0, -40.0, 7.0])
CONFIG = RegistrationConfig(iterations=100, noise_mm=0.1)
IDENTITY = np.array([1.2, -0.8, 0.5, -1.5, 0.9, 0.3])
JAW = toy_head().expression_names.index("jawOpen")


def turn() -> np.ndarray:
    return rotation_from_euler(torch.tensor([[0.5, -0.3, 0.2]]))[0].double().numpy()


def sampled(count: int = 400) -> SurfacePoints:
    """Points of the front, anywhere in their triangles."""
    head, generator = toy_head(), np.random.default_rng(0)
    front = np.flatnonzero(head.vertices_mm[head.faces][..., 2].mean(1) > -10.0)
    weights = generator.dirichlet(np.ones(3), count).astype(np.float32)
    return SurfacePoints(generator.choice(front, count), weights)


def deformed(weight: float = 0.0) -> np.ndarray:
    head = toy_head()
    return (
        head.vertices_mm + np.einsum("k,kvx->vx", IDENTITY, head.identity_basis) + weight * head.expression_basis[JAW]
    )


def everywhere(head: HeadAssets) -> Callable[[np.ndarray], SurfacePoints]:
    return lambda points: nearest_on_surface(points, head.vertices_mm, head.faces, np.arange(len(head.faces)))


@pytest.mark.parametrize("opening", [0.0, 0.6])
def test_points_of_a_bent_head_come_back_to_its_surface(opening: float) -> None:
    head, points = toy_head(), sampled()
    true_mm = points.evaluate(deformed(opening), head.faces).astype(np.float64)
    foreign = SCALE * true_mm @ turn().T + SHIFT
    start = np.arange(0, 400, 40)
    start_mm = points.evaluate(head.vertices_mm, head.faces)[start]
    allowed = np.array([JAW]) if opening else np.zeros(0, np.int64)
    found = register_points(head, foreign, foreign[start], start_mm, everywhere, allowed, CONFIG)
    assert found.distance_mm.mean() < 0.05
    np.testing.assert_allclose(found.identity, IDENTITY, atol=0.15)
    expected = np.zeros(len(head.expression_basis))
    expected[JAW] = opening
    np.testing.assert_allclose(found.expression, expected, atol=0.1)
    # Points may slide, but where the surface is not flat they find their own places.
    under = found.points.evaluate(deformed(opening), head.faces)
    assert np.linalg.norm(under - true_mm, axis=1).mean() < 0.5


def test_no_more_is_bent_than_the_points_ask_for() -> None:
    head, points = toy_head(), sampled()
    mean_mm = points.evaluate(head.vertices_mm, head.faces).astype(np.float64)
    start = np.arange(0, 400, 40)
    found = register_points(head, mean_mm, mean_mm[start], mean_mm[start], everywhere, np.array([JAW]), CONFIG)
    assert np.abs(found.identity).max() < 0.05
    assert np.abs(found.expression).max() < 0.05
    assert found.distance_mm.max() < 0.05


def test_a_vague_measurement_leaves_the_mean_head() -> None:
    head, points = toy_head(), sampled()
    true_mm = points.evaluate(deformed(), head.faces).astype(np.float64)
    start = np.arange(0, 400, 40)
    start_mm = points.evaluate(head.vertices_mm, head.faces)[start]
    vague = RegistrationConfig(iterations=5, noise_mm=1e4)
    found = register_points(head, true_mm, true_mm[start], start_mm, everywhere, np.zeros(0, np.int64), vague)
    assert np.abs(found.identity).max() < 0.01


def test_a_similarity_is_found_and_is_no_mirror_image() -> None:
    points = np.random.default_rng(0).normal(size=(30, 3))
    scale, rotation, shift = similarity(points, SCALE * points @ turn().T + SHIFT)
    assert scale == pytest.approx(SCALE)
    np.testing.assert_allclose(rotation, turn(), atol=1e-7)
    np.testing.assert_allclose(shift, SHIFT, atol=1e-6)
    _, rotation, _ = similarity(points, points * (-1.0, 1.0, 1.0))
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_config_without_a_round_is_refused() -> None:
    with pytest.raises(ValueError, match="iterations is 0"):
        RegistrationConfig(iterations=0)
