import numpy as np
import pytest
import torch

from model.face.morphable_model import MorphableModel
from tests.small_world import toy_head, toy_hierarchy
from training.drawn_truth import Truth, true_vertices_mm
from training.relief import Relief

FLIP = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(toy_head())


@pytest.fixture(scope="module")
def relief(model: MorphableModel) -> Relief:
    return Relief(model, toy_hierarchy())


def truths(count: int, relief_count: int, *, mirrored: bool = False, seed: int = 0) -> list[Truth]:
    generator = np.random.default_rng(seed)
    drawn = [
        [generator.normal(size=6), generator.random(52), generator.normal(size=relief_count)] for _ in range(count)
    ]
    return [Truth(*(part.astype(np.float32) for part in parts), mirrored) for parts in drawn]


def test_without_relief_they_are_the_models_own(model: MorphableModel) -> None:
    heads = truths(3, 0)
    posed, neutral = true_vertices_mm(model, None, heads)
    identity = torch.stack([torch.from_numpy(head.identity) for head in heads])
    expression = torch.stack([torch.from_numpy(head.expression) for head in heads])
    torch.testing.assert_close(posed, model.vertices_mm(identity, expression), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(neutral, model.vertices_mm(identity, torch.zeros_like(expression)))


def test_relief_stays_on_the_head_at_rest(model: MorphableModel, relief: Relief) -> None:
    heads = truths(2, relief.count)
    posed, neutral = true_vertices_mm(model, relief, heads)
    plain_posed, plain_neutral = true_vertices_mm(model, None, heads)
    offsets_mm = torch.stack([relief.offsets_mm(head.relief) for head in heads])
    assert offsets_mm.abs().max() > 0.5
    torch.testing.assert_close(neutral - plain_neutral, offsets_mm, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(posed - plain_posed, offsets_mm, atol=1e-4, rtol=0.0)


def test_a_mirrored_head_is_the_mirrored_mesh(model: MorphableModel, relief: Relief) -> None:
    plain = true_vertices_mm(model, relief, truths(2, relief.count))
    mirrored = true_vertices_mm(model, relief, truths(2, relief.count, mirrored=True))
    mirror = model.mirror.long()
    for before, after in zip(plain, mirrored, strict=True):
        torch.testing.assert_close(after, before[:, mirror] * FLIP, rtol=0.0, atol=0.0)
        # Twice is nothing.
        torch.testing.assert_close(after[:, mirror] * FLIP, before, rtol=0.0, atol=0.0)
    # Relief and expressions differ from side to side, so it is another head.
    assert (mirrored[1] - plain[1]).abs().max() > 0.1
    assert (mirrored[0] - plain[0]).abs().max() > 1.0


def test_each_head_of_a_batch_is_mirrored_for_itself(model: MorphableModel, relief: Relief) -> None:
    one, other = truths(1, relief.count), truths(1, relief.count, mirrored=True)
    mixed = true_vertices_mm(model, relief, [*one, *other])
    for part, (first, second) in enumerate(
        zip(true_vertices_mm(model, relief, one), true_vertices_mm(model, relief, other), strict=True)
    ):
        torch.testing.assert_close(mixed[part][:1], first)
        torch.testing.assert_close(mixed[part][1:], second)
