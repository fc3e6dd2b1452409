"""Shards of an earlier version, whose samples had an identity where they have a person and a recognition now."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from common import old_names
from data.shards import ShardSample, decode_metadata, decode_sample, encode_sample, read_shard, write_shard
from tests.data.data_scenes import stored_face


@pytest.fixture
def members() -> dict[str, bytes]:
    """A sample as version 0.1 wrote it."""
    new = encode_sample(stored_face("a.jpg", person=7, embedding=np.array([0.5, -0.25], np.float32)))
    metadata = json.loads(new["json"])
    metadata["identity"] = metadata.pop("person")
    old = {"identity.npy" if name == "recognition.npy" else name: content for name, content in new.items()}
    assert "identity.npy" in old
    return {**old, "json": json.dumps(metadata).encode()}


def expected(sample: ShardSample) -> None:
    assert sample.person == 7
    assert sample.recognition_embedding is not None
    assert sample.recognition_embedding.tolist() == [0.5, -0.25]


def test_a_sample_is_read_and_told_once(
    members: dict[str, bytes], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_names, "_TOLD", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            expected(decode_sample(members))
        assert decode_metadata(members)["person"] == 7
    assert [record.message for record in caplog.records] == ["samples of shards: `identity` is called `person` now"]


def test_a_shard_that_is_written_again_has_the_members_of_today(members: dict[str, bytes], tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [("a", members)])
    content = read_shard(tmp_path / "a.tar")
    expected(decode_sample(content["a"]))
    assert "recognition.npy" in content["a"]
    assert "identity.npy" not in content["a"]
