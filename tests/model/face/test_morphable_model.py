import numpy as np
import pytest
import torch

from model.face.morphable_model import MorphableModel
from tests.small_world import ARKIT_NAMES, toy_head


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(toy_head())


def coefficients(model: MorphableModel, batch: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(batch, model.identity_count, generator=generator)
    return identity, torch.rand(batch, model.expression_count, generator=generator)


def test_zero_is_the_mean_head(model: MorphableModel) -> None:
    zero = torch.zeros(2, model.identity_count), torch.zeros(2, model.expression_count)
    torch.testing.assert_close(model.vertices_mm(*zero), model.mean_mm.expand(2, -1, -1))
    torch.testing.assert_close(model.albedo_linear(torch.zeros(2, model.albedo_count))[0], model.albedo_mean)


def test_each_coefficient_moves_its_own_component(model: MorphableModel) -> None:
    assets = toy_head()
    identity = torch.zeros(1, model.identity_count)
    expression = torch.zeros(1, model.expression_count)
    identity[0, 2], expression[0, 7] = -1.5, 0.25
    expected = assets.vertices_mm - 1.5 * assets.identity_basis[2] + 0.25 * assets.expression_basis[7]
    np.testing.assert_allclose(model.vertices_mm(identity, expression)[0], expected, rtol=0, atol=1e-4)
    albedo = torch.zeros(1, model.albedo_count)
    albedo[0, 1] = 2.0
    expected = assets.albedo_mean + 2.0 * assets.albedo_basis[1]
    np.testing.assert_allclose(model.albedo_linear(albedo)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "count"), [("ibug68", 68), ("mediapipe478", 478)])
def test_the_fast_landmarks_are_those_of_the_whole_mesh(model: MorphableModel, name: str, count: int) -> None:
    identity, expression = coefficients(model)
    fast = model.landmarks_mm(identity, expression, name)
    assert fast.shape == (3, count, 3)
    torch.testing.assert_close(fast, model.landmarks(model.vertices_mm(identity, expression), name), atol=1e-3, rtol=0)


def test_landmarks_interpolate_values_of_any_width(model: MorphableModel) -> None:
    ones = torch.ones(2, len(model.mean_mm), 5)
    torch.testing.assert_close(model.landmarks(ones), torch.ones(2, 68, 5))


def test_the_mean_and_a_symmetric_expression_are_mirror_symmetric(model: MorphableModel) -> None:
    expression = torch.zeros(1, model.expression_count)
    for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"):
        expression[0, ARKIT_NAMES.index(name)] = 0.7
    vertices = model.vertices_mm(torch.zeros(1, model.identity_count), expression)[0]
    mirrored = vertices[model.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(mirrored, vertices, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(model.mirror[model.mirror], torch.arange(len(vertices)))


def test_an_unknown_landmark_set_or_region_is_refused_with_what_there_is(model: MorphableModel) -> None:
    with pytest.raises(KeyError, match="ibug68"):
        model.landmarks(model.mean_mm[None], "wflw98")
    with pytest.raises(KeyError, match="lips"):
        model.region("beard")
    assert model.region("lips").any()


def test_nothing_of_the_head_is_trained_or_kept_in_a_checkpoint(model: MorphableModel) -> None:
    assert not list(model.parameters())
    assert not model.state_dict()


def test_coefficient_gradients(model: MorphableModel) -> None:
    double = MorphableModel(toy_head()).double()
    identity, expression = (c[:1].double().requires_grad_() for c in coefficients(model))
    assert torch.autograd.gradcheck(lambda i, e: double.landmarks_mm(i, e)[:, ::9], (identity, expression))
