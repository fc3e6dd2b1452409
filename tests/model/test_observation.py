import dataclasses

import jaxtyping
import pytest
import torch

from model.observation import Observation


def test_from_dict_takes_its_keys_and_leaves_the_others() -> None:
    fake = Observation.fake(batch=3)
    sample = {field.name: getattr(fake, field.name) for field in dataclasses.fields(fake)}
    observation = Observation.from_dict(sample | {"name": ["a", "b", "c"], "source": ["x"] * 3})
    for field in dataclasses.fields(fake):
        assert torch.equal(getattr(observation, field.name), getattr(fake, field.name))


def test_a_missing_key_is_named() -> None:
    sample = dict(vars(Observation.fake()))
    del sample["skin_mask"]
    with pytest.raises(KeyError, match="skin_mask"):
        Observation.from_dict(sample)


def test_a_wrong_shape_is_refused_in_tests() -> None:
    sample = dict(vars(Observation.fake()))
    with pytest.raises(jaxtyping.TypeCheckError):
        Observation.from_dict(sample | {"skin_mask": torch.ones(2, 10, 10)})


def test_box_is_the_root_of_the_area_and_never_zero() -> None:
    fake = Observation.fake(batch=2)
    points_px = torch.zeros(2, 68, 3)
    points_px[0, 5] = torch.tensor([90.0, 40.0, 500.0])
    box_px = dataclasses.replace(fake, landmarks68_px=points_px).box_px
    torch.testing.assert_close(box_px, torch.tensor([60.0, 1.0]))


def test_without_points_the_box_is_that_of_the_mesh() -> None:
    """Else a face whose 68 points are doubtful but whose mesh is good would weigh a hundred times as much."""
    mesh_px = torch.zeros(2, 478, 2)
    mesh_px[:, 7] = torch.tensor([80.0, 20.0])
    observation = dataclasses.replace(
        Observation.fake(batch=2),
        landmarks68_px=torch.zeros(2, 68, 3),
        landmarks68_weight=torch.tensor([0.0, 0.5]),
        landmarks478_px=mesh_px,
    )
    torch.testing.assert_close(observation.box_px, torch.tensor([40.0, 1.0]))


def test_fakes_are_reproducible() -> None:
    torch.testing.assert_close(Observation.fake(seed=3).image_srgb, Observation.fake(seed=3).image_srgb)
    assert not torch.equal(Observation.fake(seed=3).image_srgb, Observation.fake(seed=4).image_srgb)
