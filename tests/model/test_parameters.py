import dataclasses

import jaxtyping
import pytest
import torch

from model.parameters import FaceParameters


def test_to_camera_turns_then_moves() -> None:
    neutral = FaceParameters.neutral(1, 2, 3, 4)
    quarter = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]])
    turned = dataclasses.replace(neutral, rotation=quarter, translation_mm=torch.tensor([[1.0, 2.0, -500.0]]))
    torch.testing.assert_close(
        turned.to_camera(torch.tensor([[[0.0, 0.0, 10.0]]])), torch.tensor([[[11.0, 2.0, -500.0]]])
    )


def test_neutral_is_unlit_and_in_front_of_the_camera() -> None:
    neutral = FaceParameters.neutral(2, 2, 3, 4)
    assert (neutral.translation_mm[:, 2] < 0).all()
    assert (neutral.lighting[:, 0] == 1).all()
    assert not neutral.lighting[:, 1:].any()


def test_disagreeing_batches_are_refused_in_tests() -> None:
    neutral = FaceParameters.neutral(2, 2, 3, 4)
    with pytest.raises(jaxtyping.TypeCheckError):
        dataclasses.replace(neutral, translation_mm=torch.zeros(3, 3))


def test_parameters_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FaceParameters.neutral(2, 2, 3, 4).identity = torch.zeros(2, 2)  # type: ignore[misc]
