from typing import Any

import numpy as np
import pytest
import torch

from data.augment import plain_view
from data.crops import make_sample
from data.sample import FaceBatch, FaceSample, collate, join, validate_sample
from tests.data.data_scenes import stored_face


def sample(labelled: bool = True, size: int = 64) -> FaceSample:
    stored = stored_face(labelled=labelled, blendshapes=np.full(52, 0.2, np.float32) if labelled else None)
    return make_sample(stored, plain_view(stored, size), size)


def embedded(length: int, name: str = "face.jpg") -> FaceSample:
    stored = stored_face(name, embedding=np.arange(1, length + 1, dtype=np.float32))
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
        ("person", -2),
        ("recognition_embedding", np.zeros((2, 64), np.float32)),
        ("recognition_embedding", np.full(128, np.inf, np.float32)),
        ("recognition_embedding_weight", 1),
        ("recognition_embedding_weight", -0.5),
        ("blendshapes", np.zeros(51, np.float32)),
        ("blendshapes", np.full(52, 1.5, np.float32)),
        ("blendshapes", np.zeros(52)),
        ("blendshapes_weight", -0.5),
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
    two["person"] = 7
    batch = collate([one, two])
    assert batch["image_srgb"].shape == (2, 3, 64, 64)
    assert batch["name"] == ["face.jpg", "other"]
    assert batch["person"].tolist() == [-1, 7]
    assert batch["color"].dtype == torch.bool
    assert batch["landmarks68_weight"].dtype == torch.float32
    torch.testing.assert_close(batch["landmarks68_px"][1], torch.from_numpy(two["landmarks68_px"]))


def test_an_absent_embedding_is_zeros_of_no_weight() -> None:
    validate_sample(embedded(128))
    assert sample()["recognition_embedding_weight"] == 0.0
    assert sample()["recognition_embedding"].shape == (128,)
    assert not sample()["recognition_embedding"].any()


@pytest.mark.parametrize("length", [128, 512])
def test_in_a_batch_absent_embeddings_take_the_others_length(length: int) -> None:
    batch = collate([sample(), embedded(length)])
    assert batch["recognition_embedding"].tolist() == [[0.0] * length, [float(k + 1) for k in range(length)]]
    assert batch["recognition_embedding_weight"].tolist() == [0.0, 1.0]


def test_embeddings_of_two_networks_are_no_batch() -> None:
    with pytest.raises(ValueError, match=r"128 and 512.*tools\.embed_photographs"):
        collate([embedded(128), embedded(512)])


def test_no_samples_are_no_batch() -> None:
    with pytest.raises(ValueError, match="no samples"):
        collate([])


def test_two_batches_are_joined_in_their_order() -> None:
    first = collate([sample(), with_value("name", "second")])
    first["progress"] = "of a loader"  # pyright: ignore[reportGeneralTypeIssues]
    second = collate([{**sample(labelled=False), "name": "third", "person": 5}])
    joined = join(first, second)
    assert set(joined) == set(FaceBatch.__annotations__)
    assert joined["name"] == ["face.jpg", "second", "third"]
    assert joined["person"].tolist() == [-1, -1, 5]
    assert joined["blendshapes_weight"].tolist() == [0.75, 0.75, 0.0]
    for key, value in joined.items():
        if isinstance(value, torch.Tensor):
            for row, (batch, index) in enumerate(((first, 0), (first, 1), (second, 0))):
                torch.testing.assert_close(value[row], batch[key][index], rtol=0.0, atol=0.0)


@pytest.mark.parametrize("length", [128, 512])
@pytest.mark.parametrize("known_first", [True, False])
def test_a_batch_without_embeddings_takes_the_others_length(length: int, known_first: bool) -> None:
    known, unknown = collate([embedded(length)]), collate([sample(), sample()])
    joined = join(known, unknown) if known_first else join(unknown, known)
    rows = [float(k + 1) for k in range(length)], [0.0] * length
    expected = [rows[0], rows[1], rows[1]] if known_first else [rows[1], rows[1], rows[0]]
    assert joined["recognition_embedding"].tolist() == expected
    assert sorted(joined["recognition_embedding_weight"].tolist()) == [0.0, 0.0, 1.0]


def test_what_does_not_go_together_is_not_joined() -> None:
    with pytest.raises(ValueError, match="128 and 512"):
        join(collate([embedded(128)]), collate([embedded(512)]))
    with pytest.raises(ValueError, match="32 and 64 px"):
        join(collate([sample()]), collate([sample(size=32)]))
