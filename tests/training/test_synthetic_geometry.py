import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from model.observation import Observation
from model.reconstructor import Reconstructor
from tests.small_world import IMAGE_SIZE, toy_hierarchy, toy_reconstructor
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY
from training.relief import Relief
from training.synthetic_geometry import PARAMETERS_KEY, SyntheticGeometry, SyntheticGeometryConfig, geometry_weight


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


def heads(reconstructor: Reconstructor, *, relief: bool = True, **options: int) -> SyntheticGeometry:
    config = SyntheticGeometryConfig(batch_size=2, relief=relief)
    return SyntheticGeometry(config, reconstructor.morphable_model, toy_hierarchy(), IMAGE_SIZE, **options)


def test_the_truth_is_what_was_drawn(reconstructor: Reconstructor) -> None:
    batch = heads(reconstructor, relief=False).batch(3)
    parameters = batch[PARAMETERS_KEY]
    expected = reconstructor.morphable_model.vertices_mm(parameters.identity, parameters.expression)
    torch.testing.assert_close(batch[VERTICES_KEY], expected)
    at_rest = reconstructor.morphable_model.vertices_mm(parameters.identity, torch.zeros_like(parameters.expression))
    torch.testing.assert_close(batch[NEUTRAL_KEY], at_rest)
    # And it lies where the labels say: landmarks of the truth, posed and projected, are the labelled ones.
    observation = Observation.from_dict(batch)
    answer = reconstructor.decode(parameters, observation.intrinsics_px)
    torch.testing.assert_close(
        answer.landmarks68_image[..., :2], observation.landmarks68_px[..., :2], atol=0.05, rtol=0.0
    )


def test_relief_makes_shapes_beyond_the_components_and_keeps_the_labels_on_them(reconstructor: Reconstructor) -> None:
    model = reconstructor.morphable_model
    plain, bumpy = heads(reconstructor, relief=False).batch(0), heads(reconstructor).batch(0)
    model_mm = model.vertices_mm(bumpy[PARAMETERS_KEY].identity, bumpy[PARAMETERS_KEY].expression)
    offsets_mm = bumpy[VERTICES_KEY] - model_mm
    assert 0.3 < offsets_mm.norm(dim=-1).mean() < 3.0
    # The same bumps at rest.
    rest_mm = model.vertices_mm(bumpy[PARAMETERS_KEY].identity, torch.zeros_like(bumpy[PARAMETERS_KEY].expression))
    torch.testing.assert_close(bumpy[NEUTRAL_KEY] - rest_mm, offsets_mm, atol=1e-4, rtol=0.0)
    moved = bumpy["landmarks68_px"] - plain["landmarks68_px"]
    assert moved.abs().max() > 0.05


def test_both_sides_of_a_relief_have_most_in_common(reconstructor: Reconstructor) -> None:
    model = reconstructor.morphable_model
    relief = Relief(model, toy_hierarchy())
    generator = np.random.default_rng(0)
    drawn = torch.stack(
        [relief.offsets_mm(generator.standard_normal(relief.count).astype(np.float32)) for _ in range(40)]
    )
    mirrored = drawn[:, model.mirror.long()] * torch.tensor([-1.0, 1.0, 1.0])
    different = (drawn - mirrored).square().sum()
    assert 0.02 < different / (2.0 * drawn.square().sum()) < 0.4
    with pytest.raises(ValueError, match="relief coefficients"):
        relief.offsets_mm(np.zeros(3, np.float32))


def test_a_resumed_run_goes_on_with_the_heads_that_would_have_come(reconstructor: Reconstructor) -> None:
    stream = iter(heads(reconstructor))
    batches = [next(stream)["name"] for _ in range(3)]
    again = iter(heads(reconstructor, first=2))
    assert next(again)["name"] == batches[2]


def test_processes_draw_different_heads(reconstructor: Reconstructor) -> None:
    names = [
        name
        for rank in (0, 1)
        for batch in (next(iter(heads(reconstructor, rank=rank, ranks=2))),)
        for name in batch["name"]
    ]
    assert len(set(names)) == 4


def test_the_judged_region_is_the_face_without_eyes_and_mouth(reconstructor: Reconstructor) -> None:
    model = reconstructor.morphable_model
    weight = geometry_weight(model)
    assert (weight[model.region("eyes") | model.region("teeth")] == 0).all()
    assert (weight > 0.9).any()


def test_relief_without_levels_is_refused(reconstructor: Reconstructor) -> None:
    config = SyntheticGeometryConfig(batch_size=2)
    with pytest.raises(ValueError, match="hierarchy"):
        SyntheticGeometry(config, reconstructor.morphable_model, None, IMAGE_SIZE)
    with pytest.raises(ValueError, match="levels"):
        Relief(reconstructor.morphable_model, dataclasses.replace(toy_hierarchy(), levels=toy_hierarchy().levels[:1]))
    with pytest.raises(ValueError, match="workers"):
        SyntheticGeometryConfig(workers=-1)


def test_a_bank_with_relief_is_not_taken_for_one_without(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="relief"):
        SyntheticGeometryConfig(batch_size=2, relief=False, bank=tmp_path)
