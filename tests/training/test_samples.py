from dataclasses import fields

import pytest
import torch

from model.observation import Observation
from model.reconstructor import Reconstruction
from tests.small_world import IMAGE_SIZE, crop_camera, toy_decoding_reconstructor, toy_reconstructor
from training.samples import first_samples, last_samples


@pytest.fixture(scope="module", params=["plain", "refined"])
def answer(request: pytest.FixtureRequest) -> Reconstruction:
    reconstructor = toy_reconstructor() if request.param == "plain" else toy_decoding_reconstructor()
    with torch.no_grad():
        return reconstructor(torch.rand(5, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(5))


def tensors(batch: object) -> list[torch.Tensor]:
    """All tensors within, in one order."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    return [] if batch is None else [t for f in fields(batch) for t in tensors(getattr(batch, f.name))]  # pyright: ignore


def test_first_and_last_are_the_whole(answer: Reconstruction) -> None:
    for batch in (answer, Observation.fake(batch=5)):
        whole, first, last = tensors(batch), tensors(first_samples(batch, 2)), tensors(last_samples(batch, 2))
        assert len(whole) == len(first) == len(last) > 8
        for every, two, three in zip(whole, first, last, strict=True):
            assert len(two) == 2
            assert len(three) == 3
            torch.testing.assert_close(torch.cat((two, three)), every, rtol=0.0, atol=0.0)


def test_what_is_not_there_stays_away(answer: Reconstruction) -> None:
    first = first_samples(answer, 2)
    assert isinstance(first, Reconstruction)
    assert (first.refinement is None) == (answer.refinement is None)


def test_more_than_there_are_is_all() -> None:
    observation = Observation.fake(batch=3)
    assert len(first_samples(observation, 9).image_srgb) == 3
    assert len(last_samples(observation, 0).image_srgb) == 3


def test_gradients_reach_only_the_samples_taken() -> None:
    values = torch.ones(4, 2, requires_grad=True)
    last_samples(values, 3).sum().backward()
    assert values.grad is not None
    assert values.grad.sum(1).tolist() == [0.0, 0.0, 0.0, 2.0]
