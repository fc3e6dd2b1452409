from typing import Any

import numpy as np
import pytest
import torch

from data.augment import plain_view
from data.crops import make_sample
from data.sample import FaceSample, collate, validate_sample
from tests.data.data_scenes import stored_face


def sample(labelled: bool = True) -> FaceSample:
    stored = stored_face(labelled=labelled)
    return make_sample(stored, plain_view(stored, 64), 64)


def with_value(key: str, value: Any) -> FaceSample:
    return {**sample(), key: value}  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("labelled", [True, False])
def test_what_the_data_make_keeps_the_contract(labelled: bool) -> None:
    validate_sample(sample(labelled))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_srgb", np.zeros((3, 64, 64))),
        ("image_srgb", np.full((3, 64, 64), 2.0, np.float32)),
        ("image_srgb", np.zeros((3, 32, 32), np.float32)),
        ("landmarks68_px", np.full((68, 3), np.nan, np.float32)),
        ("landmarks68_px", np.zeros((68, 2), np.float32)),
        ("landmarks478_weight", 1.5),
        ("identity", -2),
        ("color", 1),
        ("name", b"face"),
        ("intrinsics_px", np.zeros((3, 3), np.float32)),
    ],
)
def test_a_violation_is_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        validate_sample(with_value(key, value))


def test_missing_and_unknown_keys_are_named() -> None:
    broken: Any = {**sample(), "extra": 1}
    del broken["skin_mask"]
    with pytest.raises(ValueError, match="extra, skin_mask"):
        validate_sample(broken)


def test_a_batch_has_the_samples_in_order() -> None:
    one, two = sample(), with_value("name", "other")
    two["identity"] = 7
    batch = collate([one, two])
    assert batch["image_srgb"].shape == (2, 3, 64, 64)
    assert batch["name"] == ["face.jpg", "other"]
    assert batch["identity"].tolist() == [-1, 7]
    assert batch["color"].dtype == torch.bool
    assert batch["landmarks68_weight"].dtype == torch.float32
    torch.testing.assert_close(batch["landmarks68_px"][1], torch.from_numpy(two["landmarks68_px"]))


def test_no_samples_are_no_batch() -> None:
    with pytest.raises(ValueError, match="no samples"):
        collate([])
