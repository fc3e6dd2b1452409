"""Albedo learning on small worlds: weighted PCA with gaps, light and albedo apart, unseen skin, painted eyes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.render.lighting import spherical_harmonics
from tests.small_world import toy_head
from tools.statistics.albedo_fill import extend_skin, eyeball_color, paint_inner_parts
from tools.statistics.light import LightPrior, Separation, separate
from tools.statistics.weighted_pca import (
    LinearModel,
    canonical,
    coefficients,
    fit_components,
    grow,
    sufficient_statistics,
)

pytestmark = pytest.mark.slow


def subspace_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Sine of the largest angle between two row spaces."""
    left, right = (torch.linalg.qr(basis.flatten(1).T).Q for basis in (found, truth))
    return float((1.0 - torch.linalg.svdvals(left.T @ right).min() ** 2).clamp(min=0.0).sqrt())


def test_components_are_found_though_half_of_the_data_is_missing() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = LinearModel(
        torch.rand(40, 3, generator=generator),
        torch.randn(3, 40, 3, generator=generator) * torch.tensor([0.5, 0.3, 0.2])[:, None, None],
    )
    scores = torch.randn(300, 3, generator=generator)
    weight = (torch.rand(300, 40, generator=generator) > 0.5).float()
    data = truth.predict(scores) + 0.01 * torch.randn(300, 40, 3, generator=generator)
    data[weight == 0] = 9.0
    mean = (weight[..., None] * data).sum(0) / weight.sum(0)[:, None]
    model = grow(LinearModel(mean, torch.zeros(0, 40, 3)), weight[..., None] * (data - mean), 3)
    for _ in range(20):
        means, covariances = coefficients(model, data, weight, noise=0.02)
        model = fit_components(*sufficient_statistics(means, covariances, data, weight), model, strength=1e-3)
        model, _ = canonical(model, means, covariances, torch.ones(300))
    assert subspace_error(model.basis, truth.basis) < 0.05
    assert (model.mean - truth.mean).abs().max() < 0.1
    variances = model.basis.flatten(1).square().sum(1)
    assert (variances[:-1] >= variances[1:]).all()
    gram = model.basis.flatten(1) @ model.basis.flatten(1).T
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-3 * gram.max()


def test_canonical_changes_nothing_but_the_names_of_the_components() -> None:
    generator = torch.Generator().manual_seed(1)
    model = LinearModel(torch.rand(20, 3, generator=generator), torch.randn(4, 20, 3, generator=generator))
    means = torch.randn(50, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + 0.5
    weight = torch.rand(50, generator=generator)
    renamed, transform = canonical(model, means, torch.zeros(50, 4, 4), weight)
    center = weight @ means / weight.sum()
    scores = (means - center) @ transform
    torch.testing.assert_close(renamed.predict(scores), model.predict(means), atol=1e-3, rtol=1e-3)
    share = weight / weight.sum()
    torch.testing.assert_close((scores * share[:, None]).T @ scores, torch.eye(4), atol=1e-2, rtol=0.0)


def test_light_is_told_from_albedo() -> None:
    generator = torch.Generator().manual_seed(2)
    normals = torch.nn.functional.normalize(torch.randn(4, 300, 3, generator=generator), dim=-1)
    normals[..., 2] = normals[..., 2].abs()
    harmonics = spherical_harmonics(normals)
    model = LinearModel(
        torch.tensor([0.4, 0.3, 0.2]).expand(300, 3), 0.05 * torch.randn(2, 300, 3, generator=generator)
    )
    scores = torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.5, 0.5], [-1.0, 1.0]])
    shape = torch.zeros(9, 3)
    shape[0] = 1.0
    lighting = shape.repeat(4, 1, 1)
    lighting[:, 1:4] += 0.15 * torch.randn(4, 3, 1, generator=generator)
    color = model.predict(scores) * (harmonics @ lighting)
    start = Separation(shape.repeat(4, 1, 1), torch.zeros(4, 2), torch.zeros(4, 2, 2))
    found = separate(
        model, start, color, torch.ones(4, 300), harmonics, torch.ones(4), shape, LightPrior(), noise=0.02, steps=8
    )
    torch.testing.assert_close(found.means, scores, atol=0.1, rtol=0.0)
    torch.testing.assert_close(found.lighting, lighting, atol=0.03, rtol=0.0)


def test_doubtful_colours_do_not_count() -> None:
    model = LinearModel(torch.full((50, 3), 0.4), torch.zeros(1, 50, 3))
    harmonics = spherical_harmonics(torch.tensor([0.0, 0.0, 1.0]).expand(1, 50, 3))
    color = torch.full((1, 50, 3), 0.4)
    color[:, :25] = 0.0
    trust = torch.ones(1, 50)
    trust[:, :25] = 0.0
    shape = torch.zeros(9, 3)
    shape[0] = 1.0
    start = Separation(shape[None], torch.zeros(1, 1), torch.zeros(1, 1, 1))
    found = separate(model, start, color, trust, harmonics, torch.ones(1), shape, LightPrior(), noise=0.05)
    torch.testing.assert_close(found.lighting[0], shape, atol=1e-3, rtol=0.0)


def test_unseen_skin_follows_the_tone_of_the_face() -> None:
    head = toy_head()
    skin = head.regions["face"] | head.regions["scalp"] | head.regions["neck"]
    head = replace(head, regions={**head.regions, "skin": skin})
    confidence = head.regions["face"].astype(np.float64)
    maps = np.zeros((2, len(head.vertices_mm), 3), np.float32)
    maps[0, head.regions["face"]] = (0.4, 0.3, 0.2)
    maps[1, head.regions["face"]] = 0.1
    full = extend_skin(head, maps, confidence, head.regions["face"])
    far = head.regions["scalp"] & ~head.regions["face"]
    for row in (0, 1):
        ratio = full[row, far] / maps[row, head.regions["face"]].mean(0)
        assert ratio.min() > 0.85
        assert ratio.max() < 1.1
    np.testing.assert_allclose(full[:, head.regions["face"]], maps[:, head.regions["face"]], atol=0.02)


def test_eyes_and_teeth_are_painted_and_do_not_vary() -> None:
    head = toy_head()
    mean = np.full((len(head.vertices_mm), 3), 0.4, np.float32)
    mean, basis = paint_inner_parts(head, mean, np.ones((2, len(mean), 3), np.float32))
    inner = head.regions["left_eye"] | head.regions["right_eye"] | head.regions["teeth"]
    assert (basis[:, inner] == 0.0).all()
    assert mean.min() >= 0.0
    assert mean.max() <= 1.0
    sphere = np.random.default_rng(0).normal(size=(5000, 3))
    sphere *= 12.0 / np.linalg.norm(sphere, axis=1, keepdims=True)
    color = eyeball_color(sphere)
    distance, front = np.linalg.norm(sphere[:, :2], axis=1), sphere[:, 2] > 0
    assert color[(distance < 1.5) & front].max() < 0.1
    assert color[(distance < 8.0) & ~front].min() > 0.3
