import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from data.shards import decode_sample, encode_array, encode_sample, list_shards, write_shard
from tests.data.data_scenes import encoded, stored_face


@pytest.mark.parametrize("labelled", [True, False])
def test_a_sample_comes_back_as_it_was(labelled: bool) -> None:
    embedding = np.array([0.5, -0.25, 1.0], np.float32) if labelled else None
    stored = stored_face(labelled=labelled, yaw_degrees=-33.5, person=12, embedding=embedding)
    back = decode_sample(encode_sample(stored))
    for field in dataclasses.fields(stored):
        old, new = getattr(stored, field.name), getattr(back, field.name)
        if field.name == "patch_srgb":
            assert np.abs(old.astype(int) - new.astype(int)).mean() < 2.0
        elif isinstance(old, np.ndarray):
            np.testing.assert_array_equal(old, new)
        else:
            assert old == new


def test_blendshapes_come_back_to_a_255th() -> None:
    weights = np.random.default_rng(0).random(52, dtype=np.float32)
    weights[:2] = 0.0, 1.0
    members = encode_sample(stored_face(blendshapes=weights))
    back = decode_sample(members)
    assert back.blendshapes is not None
    assert back.blendshapes.dtype == np.float32
    np.testing.assert_allclose(back.blendshapes, weights, atol=0.5 / 255.0 + 1e-6)
    assert back.blendshapes[:2].tolist() == [0.0, 1.0]
    assert back.blendshapes_weight == 0.75
    # What came back once comes back the same.
    assert encode_sample(back)["blendshapes.npy"] == members["blendshapes.npy"]


def test_shards_from_before_there_were_blendshapes_are_read() -> None:
    members = encode_sample(stored_face())
    metadata = json.loads(members["json"])
    del metadata["blendshapes_weight"]
    back = decode_sample({**members, "json": json.dumps(metadata).encode()})
    assert back.blendshapes is None
    assert back.blendshapes_weight == 0.0


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("jpg", b"no picture"),
        ("json", b"{"),
        ("landmarks68.npy", b"\x93NUM"),
        ("recognition.npy", b"\x93NUM"),
        ("recognition.npy", encode_array(np.zeros((2, 3), np.float16))),
        ("recognition.npy", encode_array(np.full(3, np.nan, np.float16))),
        ("blendshapes.npy", b"\x93NUM"),
        ("blendshapes.npy", encode_array(np.zeros(51, np.uint8))),
        ("blendshapes.npy", encode_array(np.zeros(52, np.float32))),
    ],
)
def test_a_broken_member_is_named(member: str, content: bytes) -> None:
    members = {**encode_sample(stored_face()), "__key__": "train-7", member: content}
    with pytest.raises(ValueError, match="train-7"):
        decode_sample(members)


def test_a_missing_member_is_named() -> None:
    members = encode_sample(stored_face())
    del members["json"]
    with pytest.raises(ValueError, match=r"\.json"):
        decode_sample(members)


def test_the_same_samples_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, encoded(3))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_shards_are_plain_tars(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", encoded(2))
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "a.tar").read_bytes())) as archive:
        names = archive.getnames()
    assert [name for name in names if name.endswith(".jpg")] == ["s-0.jpg", "s-1.jpg"]


def test_half_written_shards_are_not_listed(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000000.tar", encoded(1))
    (tmp_path / ".train-000001-x.tar").write_bytes(b"half")
    assert [path.name for path in list_shards(tmp_path)] == ["train-000000.tar"]


def test_a_folder_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.prepare"):
        list_shards(tmp_path)
