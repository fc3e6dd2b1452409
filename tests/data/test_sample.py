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


def embedded(length: int) -> FaceSample:
    stored = stored_face(embedding=np.arange(1, length + 1, dtype=np.float32))
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
        ("identity_embedding", np.zeros((2, 64), np.float32)),
        ("identity_embedding", np.full(128, np.inf, np.float32)),
        ("identity_embedding_weight", 1),
        ("identity_embedding_weight", -0.5),
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


def test_an_absent_embedding_is_zeros_of_no_weight() -> None:
    validate_sample(embedded(128))
    assert sample()["identity_embedding_weight"] == 0.0
    assert sample()["identity_embedding"].shape == (128,)
    assert not sample()["identity_embedding"].any()


@pytest.mark.parametrize("length", [128, 512])
def test_in_a_batch_absent_embeddings_take_the_others_length(length: int) -> None:
    batch = collate([sample(), embedded(length)])
    assert batch["identity_embedding"].tolist() == [[0.0] * length, [float(k + 1) for k in range(length)]]
    assert batch["identity_embedding_weight"].tolist() == [0.0, 1.0]


def test_embeddings_of_two_networks_are_no_batch() -> None:
    with pytest.raises(ValueError, match=r"128 and 512.*tools\.embed_identities"):
        collate([embedded(128), embedded(512)])


def test_no_samples_are_no_batch() -> None:
    with pytest.raises(ValueError, match="no samples"):
        collate([])
