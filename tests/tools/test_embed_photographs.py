import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from data.augment import plain_view
from data.crops import make_sample
from data.shards import ShardSample, decode_sample, encode_sample, read_shard, write_shard
from model.recognition import RecognitionConfig, build_recognition_network, embed_faces
from tests.data.data_scenes import smooth_picture, stored_face
from tests.model.recognition.faces import random_dlib_weights, random_mobilefacenet_file, write_mobilefacenet
from tools.embed_photographs import main


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_dlib_weights(tmp_path_factory.mktemp("dlib") / "weights.npz")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two splits of a shard: three labelled faces of different pictures and sizes, one without landmarks."""
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        faces = [
            stored_face("a", patch_srgb=smooth_picture()),
            stored_face("b", patch_srgb=smooth_picture()[::-1].copy()),
            stored_face("none", labelled=False),
            stored_face("c", patch_srgb=smooth_picture(170, 180)),
        ]
        write_shard(
            tmp_path / split / f"{split}-0.tar", [(f"{split}-{face.name}", encode_sample(face)) for face in faces]
        )
    return tmp_path


def run(shards: Path, weights: Path, *more: str) -> None:
    main(["--shards", str(shards), "--weights", str(weights), "--device", "cpu", "--batch_size", "2", *more])


def samples(shard: Path) -> list[ShardSample]:
    return [decode_sample({"__key__": key, **members}) for key, members in read_shard(shard).items()]


@pytest.mark.slow
def test_labelled_faces_get_what_the_network_says_of_them(
    shards: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {split: samples(shards / split / f"{split}-0.tar") for split in ("train", "val")}
    run(shards, weights)
    assert "embedded 6 faces in 2 shards" in capsys.readouterr().out
    network = build_recognition_network(RecognitionConfig("dlib", weights))
    for split, old in before.items():
        new = samples(shards / split / f"{split}-0.tar")
        assert [sample.name for sample in new] == ["a", "b", "none", "c"]
        for one, other in zip(old, new, strict=True):
            np.testing.assert_array_equal(one.patch_srgb, other.patch_srgb)
            if one.landmarks68_px is None:
                assert other.recognition_embedding is None
                continue
            image = torch.from_numpy(one.patch_srgb).permute(2, 0, 1)[None] / 255.0
            expected = embed_faces(network, image, torch.from_numpy(one.landmarks68_px[None, :, :2]))[0]
            assert other.recognition_embedding is not None
            scale = float(expected.abs().max())
            np.testing.assert_allclose(other.recognition_embedding, expected, rtol=0.0, atol=2e-3 * scale)
    # What training sees of it.
    face = make_sample(new[0], plain_view(new[0], 32), 32)
    assert face["recognition_embedding_weight"] == 1.0
    np.testing.assert_array_equal(face["recognition_embedding"], new[0].recognition_embedding)


@pytest.mark.slow
def test_started_again_it_does_only_what_is_left(
    shards: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shards / "val", weights)
    path = shards / "val" / "val-0.tar"
    stamp = path.stat().st_mtime_ns
    content = path.read_bytes()
    assert "embedded 3 faces in 1 shards" in capsys.readouterr().out
    run(shards, weights)
    assert "embedded 3 faces in 2 shards" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == stamp
    run(shards, weights, "--force", "true")
    assert "embedded 6 faces in 2 shards" in capsys.readouterr().out
    assert path.read_bytes() == content


def test_another_networks_embeddings_are_replaced_only_by_force(shards: Path, weights: Path) -> None:
    path = shards / "val" / "val-0.tar"
    content = read_shard(path)
    for key in ("val-a", "val-b", "val-c"):
        face = decode_sample({"__key__": key, **content[key]})
        content[key] = encode_sample(dataclasses.replace(face, recognition_embedding=np.ones(512, np.float32)))
    write_shard(path, list(content.items()))
    with pytest.raises(SystemExit, match=r"val-0\.tar: holds embeddings of 512 numbers.*128.*--force"):
        run(shards, weights)
    run(shards, weights, "--force", "true")
    assert {len(s.recognition_embedding) for s in samples(path) if s.recognition_embedding is not None} == {128}


def test_another_network_can_be_chosen(shards: Path, weights: Path, tmp_path: Path) -> None:
    chosen = write_mobilefacenet(tmp_path / "mobilefacenet.npz", *random_mobilefacenet_file())
    run(shards, chosen, "--network", "mobilefacenet")
    for split in ("train", "val"):
        vectors = [face.recognition_embedding for face in samples(shards / split / f"{split}-0.tar")]
        assert [None if vector is None else vector.shape for vector in vectors] == [(512,), (512,), None, (512,)]
        assert all(abs(np.linalg.norm(vector) - 1.0) < 1e-2 for vector in vectors if vector is not None)
    with pytest.raises(SystemExit, match=r"mobilefacenet\.npz: not the weights of dlib's"):
        run(shards, chosen)
    with pytest.raises(SystemExit, match=r"weights\.npz: not the graph and weights of a MobileFaceNet"):
        run(shards, weights, "--network", "mobilefacenet")


def test_broken_samples_stay_as_they_are(shards: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shards / "val" / "val-0.tar"
    content = read_shard(path)
    content["val-b"]["jpg"] = b"broken"
    write_shard(path, list(content.items()))
    run(shards / "val", weights)
    assert "embedded 2 faces" in capsys.readouterr().out
    assert read_shard(path)["val-b"] == content["val-b"]


def test_wrong_arguments_are_named(shards: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"tools\.embed_photographs: .*absent\.npz"):
        run(shards, tmp_path / "absent.npz")
    with pytest.raises(SystemExit, match=r"needs weights"):
        main(["--shards", str(shards)])
    with pytest.raises(SystemExit, match=r"data\.prepare"):
        run(tmp_path / "nothing", weights)
    with pytest.raises(SystemExit, match=r"--batch_size 0"):
        run(shards, weights, "--batch_size", "0")
    (shards / "train" / "train-0.tar").write_bytes(b"no tar")
    with pytest.raises(SystemExit, match=r"train-0\.tar: not a readable shard"):
        run(shards, weights)
