"""Order, restarts and faults of the stream of samples."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from data.loader import Share, StreamBatch, build_loader
from data.loader_config import LoaderConfig
from data.shards import list_shards, write_shard
from data.stream import Position, ShardReader
from tests.data.data_scenes import encoded

SIZE = 32


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Five shards of six samples; every other one is a profile, which comes more than once."""
    for shard in range(5):
        samples = encoded(3, f"shard{shard}") + encoded(3, f"shard{shard}-profile", yaw_degrees=50.0)
        write_shard(tmp_path / f"train-{shard:06d}.tar", samples)
    return tmp_path


def training(shards: Path, **options: Any) -> LoaderConfig:
    return LoaderConfig(shards, **{"size": SIZE, "batch_size": 3, "workers": 0, "shuffle_buffer": 7, **options})


def batches(config: LoaderConfig, count: int, share: Share | None = None) -> list[StreamBatch]:
    return list(itertools.islice(build_loader(config, share), count))


def positions(given: list[StreamBatch]) -> dict[int, Position]:
    """Where each part stands after the last batch that came from it."""
    return {b["progress"]["part"]: Position(b["progress"]["epoch"], b["progress"]["drawn"]) for b in given}


def assert_same(one: list[StreamBatch], two: list[StreamBatch]) -> None:
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first["name"] == second["name"]
        assert first["progress"] == second["progress"]
        torch.testing.assert_close(first["image_srgb"], second["image_srgb"], atol=0, rtol=0)
        torch.testing.assert_close(first["intrinsics_px"], second["intrinsics_px"], atol=0, rtol=0)
        torch.testing.assert_close(first["skin_mask"], second["skin_mask"], atol=0, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("given", [1, 5, 18])
def test_a_restarted_stream_goes_on_with_the_samples_that_would_have_come(
    shards: Path, workers: int, given: int
) -> None:
    config = training(shards, workers=workers)
    whole = batches(config, given + 6)
    before = whole[:given]
    share = Share(start=positions(before), first_worker=given % max(workers, 1))
    assert_same(batches(config, 6, share), whole[given:])


def test_a_restarted_stream_decodes_nothing_again(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = training(shards, batch_size=1)
    share = Share(start=positions(batches(config, 20)))
    decoded: list[str] = []
    original = ShardReader.decode

    def decode(self: ShardReader, members: dict[str, Any]) -> Any:
        decoded.append(members["__key__"])
        return original(self, members)

    monkeypatch.setattr(ShardReader, "decode", decode)
    (batch,) = batches(config, 1, share)
    assert decoded == batch["name"]


@pytest.mark.slow
def test_another_sample_changes_nothing_for_those_behind_it(shards: Path) -> None:
    """A broken sample costs itself alone: the augmentation of each is drawn for it."""
    config = training(shards, batch_size=1)
    names = [batch["name"][0] for batch in batches(config, 12)]
    original = ShardReader.decode

    def decode(self: ShardReader, members: dict[str, Any]) -> Any:
        return None if members["__key__"] == names[3] else original(self, members)

    expected = [batch for batch in batches(config, 12) if batch["name"][0] != names[3]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardReader, "decode", decode)
        found = batches(config, len(expected))
    assert_same(found, expected)


def test_every_view_of_a_face_is_drawn_anew(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000000.tar", encoded(2, "face"))
    views = batches(training(tmp_path, batch_size=1), 12)
    for name in ("face-0", "face-1"):
        cameras = {tuple(batch["intrinsics_px"].flatten().tolist()) for batch in views if batch["name"] == [name]}
        assert len(cameras) == 6
    # Two faces of one pass differ too.
    assert len({tuple(batch["intrinsics_px"].flatten().tolist()) for batch in views}) == 12


def test_an_epoch_holds_each_sample_by_its_yaw_and_is_shuffled(shards: Path) -> None:
    reader = ShardReader(training(shards), list_shards(shards), 0, 1)
    epochs: list[list[str]] = [[], [], []]
    for position, members in reader.drawn(Position()):
        if position.epoch == 3:
            break
        epochs[position.epoch].append(members["__key__"])
    for epoch in epochs:
        counts = Counter(epoch)
        assert len(counts) == 30
        assert {counts[name] for name in counts if "profile" not in name} == {1}
        assert {counts[name] for name in counts if "profile" in name} <= {2, 3}
    assert epochs[0] != epochs[1]
    assert [name.split("-")[0] for name in epochs[0]] != sorted(name.split("-")[0] for name in epochs[0])


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "devices", "workers"), [(1, 1, 2), (1, 2, 0), (2, 2, 2), (2, 4, 1), (3, 1, 3)])
@pytest.mark.parametrize("is_training", [True, False])
def test_nodes_ranks_and_workers_divide_the_shards_without_overlap_or_loss(
    shards: Path, nodes: int, devices: int, workers: int, is_training: bool
) -> None:
    config = training(shards, training=is_training, workers=workers)
    for first_worker, epoch in itertools.product(range(max(workers, 1)), range(4)):
        read: list[Path] = []
        parts: list[int] = []
        for node, device, worker in itertools.product(range(nodes), range(devices), range(max(workers, 1))):
            share = Share(node * devices + device, nodes * devices, first_worker)
            part, count = share.part(worker, workers)
            parts.append(part)
            read += ShardReader(config, list_shards(shards), part, count).epoch_shards(epoch)
        assert sorted(parts) == list(range(nodes * devices * max(workers, 1)))
        assert sorted(read) == list_shards(shards)


@pytest.mark.slow
def test_the_same_seed_and_world_give_the_same_samples_and_ranks_differ(shards: Path) -> None:
    config = training(shards)
    ranks = [batches(config, 5, Share(rank, 2)) for rank in (0, 1, 0)]
    assert_same(ranks[0], ranks[2])
    names = [{name for batch in rank[:2] for name in batch["name"]} for rank in ranks]
    assert not names[0] & names[1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_validation_is_divided_evenly_or_not_and_never_hangs(shards: Path, workers: int) -> None:
    config = training(shards, training=False, workers=workers)
    found = Counter(n for rank in range(7) for b in build_loader(config, Share(rank, 7)) for n in b["name"])
    assert len(found) == 30
    assert set(found.values()) == {1}


def test_a_batch_tells_how_many_samples_were_skipped(shards: Path) -> None:
    path = shards / "train-000002.tar"
    content = bytearray(path.read_bytes())
    # A picture's first bytes: the marker without which nothing is a JPEG.
    content[content.index(b"\xff\xd8\xff")] = 0
    path.write_bytes(content)
    config = training(shards, training=False, batch_size=100)
    (batch,) = build_loader(config)
    assert len(batch["name"]) == 29
    assert batch["progress"]["skipped"] == 1


@pytest.mark.slow
def test_a_missing_member_a_cut_and_an_unreadable_shard_are_named(
    shards: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members = encoded(3, "lame")
    del members[0][1]["jpg"]
    del members[1][1]["json"]
    write_shard(shards / "train-000000.tar", members)
    cut = shards / "train-000001.tar"
    cut.write_bytes(cut.read_bytes()[:3000])
    (shards / "train-000002.tar").write_bytes(b"no tar at all" * 100)
    config = training(shards, training=False, batch_size=100)
    loader = build_loader(config)
    (shards / "train-000003.tar").unlink()
    names = [name for batch in loader for name in batch["name"]]
    assert {name.split("-")[0] for name in names} == {"lame", "shard4"}
    for shard in range(4):
        assert f"train-{shard:06d}.tar" in caplog.text
    assert "lame-0" in caplog.text
    assert "lame-1" in caplog.text


def test_a_resumed_share_with_other_parts_begins_where_it_is_told(shards: Path) -> None:
    (batch,) = batches(training(shards), 1, Share(default_start=Position(3, 0)))
    assert batch["progress"]["epoch"] == 3


def test_photographs_of_a_person_come_in_pairs_when_asked_for(tmp_path: Path) -> None:
    for person in range(6):
        write_shard(tmp_path / f"train-{person:06d}.tar", encoded(4, f"person{person}", person=person))
    shares = []
    for chance in (0.0, 1.0):
        config = training(tmp_path, shuffle_buffer=24, person_pairs=chance)
        reader = ShardReader(config, list_shards(tmp_path), 0, 1)
        drawn = [members for _, members in itertools.islice(reader.drawn(Position()), 24)]
        assert len({members["__key__"] for members in drawn}) == 24
        people = [members["__url__"] for members in drawn]
        shares.append(sum(a == b for a, b in itertools.pairwise(people)) / 23)
    assert shares[1] > shares[0] + 0.2
    with pytest.raises(ValueError, match="person_pairs"):
        training(tmp_path, person_pairs=1.5)
