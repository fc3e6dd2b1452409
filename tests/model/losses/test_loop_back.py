import dataclasses

import pytest
import torch

from model.geometry.rotation import rotation_from_euler
from model.losses.loop_back import loop_back
from model.parameters import FaceParameters


def drawn(batch: int = 2) -> FaceParameters:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=generator, dtype=torch.float64)

    lighting = 0.1 * random(9, 3)
    lighting[:, 0] += 1.0
    return FaceParameters(
        identity=random(5),
        expression=random(6).sigmoid(),
        albedo=random(4),
        rotation=rotation_from_euler(0.3 * random(3)),
        translation_mm=20.0 * random(3) + torch.tensor([0.0, 0.0, -800.0], dtype=torch.float64),
        lighting=lighting,
    )


def wrong(name: str, amount: float) -> FaceParameters:
    value = getattr(drawn(), name)
    signs = torch.randint(0, 2, value.shape, generator=torch.Generator().manual_seed(1)).double() * 2.0 - 1.0
    return dataclasses.replace(drawn(), **{name: value + amount * signs})


GROUPS = {"identity": 1.0, "expression": 0.2, "albedo": 1.0, "rotation": 0.05, "translation_mm": 40.0, "lighting": 0.2}


def test_the_drawn_parameters_are_best() -> None:
    assert loop_back(drawn(), drawn()) == 0.0


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_counts_and_a_usual_error_of_each_counts_alike(name: str) -> None:
    usual, half = loop_back(wrong(name, GROUPS[name]), drawn()), loop_back(wrong(name, 0.5 * GROUPS[name]), drawn())
    assert 0.1 < usual < 0.25
    torch.testing.assert_close(half, 0.25 * usual)


def test_a_turn_by_the_unit_angle_counts_one_sixth() -> None:
    """One of six groups, with an error of one unit."""
    turned = drawn().rotation @ rotation_from_euler(torch.tensor([[0.1, 0.0, 0.0]], dtype=torch.float64))
    loss = loop_back(dataclasses.replace(drawn(), rotation=turned), drawn())
    assert loss.item() == pytest.approx(1.0 / 6.0, rel=0.01)


def test_distance_counts_over_the_distance() -> None:
    far = dataclasses.replace(drawn(), translation_mm=3.0 * drawn().translation_mm)
    farther = dataclasses.replace(far, translation_mm=3.0 * wrong("translation_mm", 40.0).translation_mm)
    torch.testing.assert_close(loop_back(farther, far), loop_back(wrong("translation_mm", 40.0), drawn()))


def test_samples_without_weight_do_not_count() -> None:
    predicted = drawn()
    predicted.identity[1] += 5.0
    first = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert loop_back(predicted, drawn()) > 0.1
    assert loop_back(predicted, drawn(), first) == 0.0
    assert loop_back(predicted, drawn(), 0.0 * first) == 0.0


def test_parameters_of_another_head_model_are_refused_by_name() -> None:
    other = dataclasses.replace(drawn(), albedo=torch.zeros(2, 9, dtype=torch.float64))
    with pytest.raises(ValueError, match="albedo: predicted"):
        loop_back(other, drawn())


def test_a_head_without_albedo_components_is_finite() -> None:
    nothing = torch.zeros(2, 0, dtype=torch.float64)
    bare = dataclasses.replace(drawn(), albedo=nothing)
    predicted = dataclasses.replace(wrong("identity", 1.0), albedo=nothing)
    assert torch.isfinite(loop_back(predicted, bare))


def test_gradients_reach_the_prediction_and_not_the_truth() -> None:
    names = list(GROUPS)
    truth = dataclasses.replace(drawn(), **{name: getattr(drawn(), name).requires_grad_() for name in names})

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return loop_back(FaceParameters(**dict(zip(names, values, strict=True))), truth)

    predicted = tuple(getattr(wrong(name, 0.1), name).requires_grad_() for name in names)
    assert torch.autograd.gradcheck(loss, predicted)
    loss(*predicted).backward()
    for name, value in zip(names, predicted, strict=True):
        assert getattr(truth, name).grad is None
        assert value.grad is not None
        assert value.grad.any()
