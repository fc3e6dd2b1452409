import itertools
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from data.loader import build_loader, training_samples
from data.loader_config import LoaderConfig
from data.sample import validate_sample
from data.shards import list_shards, write_shard
from data.stream import Position, ShardReader
from model.observation import Observation
from tests.data.data_scenes import encoded


def make_shards(folder: Path, counts: Sequence[int], **options: float) -> list[str]:
    """Shards with so many samples; returns all names."""
    folder.mkdir(exist_ok=True)
    names = []
    for shard, count in enumerate(counts):
        samples = encoded(count, prefix=f"shard{shard}", **options)
        names += [key for key, _ in samples]
        write_shard(folder / f"train-{shard:06d}.tar", samples)
    return names


def names_of(config: LoaderConfig) -> list[str]:
    return [name for batch in build_loader(config) for name in batch["name"]]


def first_names(config: LoaderConfig, count: int) -> list[str]:
    batches = itertools.islice(build_loader(config), -(-count // config.batch_size))
    return [name for batch in batches for name in batch["name"]][:count]


def test_validation_reads_each_sample_once_in_order(tmp_path: Path) -> None:
    names = make_shards(tmp_path, [3, 4])
    assert names_of(LoaderConfig(tmp_path, training=False, size=32, batch_size=2, workers=0)) == names


def test_workers_divide_the_shards_without_loss(tmp_path: Path) -> None:
    names = make_shards(tmp_path, [3, 2, 4])
    found = names_of(LoaderConfig(tmp_path, training=False, size=32, batch_size=2, workers=2))
    assert Counter(found) == Counter(names)


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("training", [True, False])
def test_parts_are_disjoint_and_complete_in_every_epoch(tmp_path: Path, parts: int, training: bool) -> None:
    make_shards(tmp_path, [1, 1, 1, 1])
    config = LoaderConfig(tmp_path, training=training, workers=0)
    shards = list_shards(tmp_path)
    for epoch in range(3):
        read = [s for part in range(parts) for s in ShardReader(config, shards, part, parts).epoch_shards(epoch)]
        assert sorted(read) == shards


def test_epochs_differ_in_order_and_repeat_with_the_seed(tmp_path: Path) -> None:
    make_shards(tmp_path, [1] * 12)
    config = LoaderConfig(tmp_path, workers=0)
    reader = ShardReader(config, list_shards(tmp_path), 0, 1)
    assert reader.epoch_shards(0) != reader.epoch_shards(1)
    assert reader.epoch_shards(1) == reader.epoch_shards(1)


@pytest.mark.slow
def test_training_goes_on_for_ever_and_is_repeatable(tmp_path: Path) -> None:
    names = make_shards(tmp_path, [3, 4])
    config = LoaderConfig(tmp_path, size=32, batch_size=4, workers=0, shuffle_buffer=8)
    found = first_names(config, 70)
    assert set(found) == set(names)
    assert found == first_names(config, 70)
    assert found != first_names(LoaderConfig(tmp_path, size=32, batch_size=4, workers=0, seed=1, shuffle_buffer=8), 70)


@pytest.mark.slow
def test_the_stream_is_shuffled_and_even(tmp_path: Path) -> None:
    names = make_shards(tmp_path, [10, 10])
    found = first_names(LoaderConfig(tmp_path, size=16, batch_size=10, workers=0, shuffle_buffer=10), 400)
    assert found[:20] != names
    assert max(Counter(found).values()) <= 25


@pytest.mark.parametrize("part", [0, 1, 2])
def test_fewer_shards_than_processes_leave_none_idle(tmp_path: Path, part: int) -> None:
    make_shards(tmp_path, [5])
    config = LoaderConfig(tmp_path, size=16, batch_size=2, workers=0, shuffle_buffer=4)
    stream = training_samples(config, ShardReader(config, list_shards(tmp_path), part, 3), Position())
    assert next(stream)[1]["name"].startswith("shard0")


@pytest.mark.slow
def test_profiles_come_more_often(tmp_path: Path) -> None:
    make_shards(tmp_path / "a", [20])
    write_shard(tmp_path / "a" / "train-000001.tar", encoded(20, prefix="profile", yaw_degrees=80.0))
    found = first_names(LoaderConfig(tmp_path / "a", size=16, batch_size=10, workers=0, shuffle_buffer=20), 800)
    ratio = sum(name.startswith("profile") for name in found) / sum(name.startswith("shard") for name in found)
    assert 2.4 < ratio < 3.7


def test_batches_are_what_the_model_observes(tmp_path: Path) -> None:
    make_shards(tmp_path, [3])
    batch = next(iter(build_loader(LoaderConfig(tmp_path, size=48, batch_size=3, workers=0))))
    observation = Observation.from_dict(batch)
    assert observation.image_srgb.shape == (3, 3, 48, 48)


def test_augmented_samples_keep_the_contract(tmp_path: Path) -> None:
    make_shards(tmp_path, [4])
    config = LoaderConfig(tmp_path, size=48, workers=0, shuffle_buffer=4)
    reader = ShardReader(config, list_shards(tmp_path), 0, 1)
    for _, sample in itertools.islice(training_samples(config, reader, Position()), 40):
        validate_sample(sample)


def break_one(path: Path, key: str) -> None:
    """Overwrite the picture of one sample with zeros."""
    with tarfile.open(path) as archive:
        member = archive.getmember(f"{key}.jpg")
        offset, size = member.offset_data, member.size
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))


def test_a_broken_sample_is_skipped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = make_shards(tmp_path, [6])
    break_one(tmp_path / "train-000000.tar", names[2])
    found = names_of(LoaderConfig(tmp_path, training=False, size=16, workers=0))
    assert found == [name for name in names if name != names[2]]
    assert names[2] in caplog.text


def test_a_shard_that_breaks_off_costs_only_its_rest(tmp_path: Path) -> None:
    names = make_shards(tmp_path, [6, 3])
    path = tmp_path / "train-000000.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = names_of(LoaderConfig(tmp_path, training=False, size=16, workers=0))
    assert set(found) <= set(names)
    assert set(names[6:]) <= set(found)
    assert 2 <= len(found) - 3 < 6


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_broken_samples_stop_the_loader_by_the_name_of_the_shard(tmp_path: Path, workers: int) -> None:
    names = make_shards(tmp_path, [14])
    for name in names:
        break_one(tmp_path / "train-000000.tar", name)
    with pytest.raises(ValueError, match=r"broken samples.*train-000000\.tar"):
        names_of(LoaderConfig(tmp_path, training=False, size=16, workers=workers))


@pytest.mark.slow
def test_shards_without_samples_are_an_error_in_training(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000000.tar", [])
    with pytest.raises(ValueError, match="no samples"):
        next(iter(build_loader(LoaderConfig(tmp_path, workers=0))))


def test_impossible_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        LoaderConfig(tmp_path, batch_size=0)


def test_validation_has_the_plain_crop(tmp_path: Path) -> None:
    make_shards(tmp_path, [2])
    config = LoaderConfig(tmp_path, training=False, size=64, workers=0)
    one, two = (next(iter(build_loader(config))) for _ in range(2))
    torch.testing.assert_close(one["image_srgb"], two["image_srgb"])
    points = one["landmarks68_px"][0, :, :2].numpy()
    assert np.sqrt((points.max(0) - points.min(0)).prod()) == pytest.approx(64 / 1.5, rel=1e-3)
