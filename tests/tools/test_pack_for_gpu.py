"""The folder for another machine: within its budget, readable by the loader, and honest about what is in it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data.alignment import CropWindow
from data.loader import build_loader
from data.loader_config import LoaderConfig
from data.sample import validate_sample
from data.shards import ShardSample, decode_sample, encode_sample, list_shards, read_shard, write_shard
from tools.pack_for_gpu import evenly, folder_bytes, main, pack_for_gpu, small_sample, unpack_shard

PHOTOGRAPHS, PER_PERSON = 60, 3


def photograph(index: int, generator: np.random.Generator, side_px: int = 200) -> ShardSample:
    """Noise, which compresses badly, with points in it."""
    points = generator.uniform(40.0, side_px - 40.0, (546, 3)).astype(np.float32)
    return ShardSample(
        patch_srgb=generator.integers(0, 256, (side_px, side_px - 7, 3), np.uint8),
        window=CropWindow(20.0, 10.0, 160.0),
        landmarks68_px=points[:68],
        landmarks478_px=points[68:, :2].copy(),
        landmarks68_weight=1.0,
        landmarks478_weight=1.0,
        yaw_degrees=12.0,
        color=True,
        person=index // PER_PERSON,
        name=f"photograph{index}",
        source="noise",
        recognition_embedding=generator.standard_normal(128).astype(np.float32),
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    samples = [(f"p{i}", encode_sample(photograph(i, generator))) for i in range(PHOTOGRAPHS + 6)]
    for part, own in (("train", samples[:PHOTOGRAPHS]), ("val", samples[PHOTOGRAPHS:])):
        (folder / part).mkdir()
        for number in range(2):
            write_shard(
                folder / part / f"{part}-{number}.tar", own[number * len(own) // 2 : (number + 1) * len(own) // 2]
            )
    return folder


@pytest.mark.slow
def test_the_budget_holds_and_what_went_in_is_said(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = pack_for_gpu(shards, tmp_path / "pack", megabytes=0.4, held_out=4)
    assert folder_bytes(tmp_path / "pack") <= 400_000
    # Most of the room is used.
    assert folder_bytes(tmp_path / "pack") > 250_000
    assert 0 < packed.photographs < PHOTOGRAPHS == packed.photographs_there_are
    assert packed.held_out == 4
    stored = [key for path in list_shards(tmp_path / "pack/shards/train") for key in read_shard(path)]
    assert len(stored) == packed.photographs
    # A person's photographs stay together.
    assert all(len([k for k in stored if int(k[1:]) // PER_PERSON == n]) in (0, PER_PERSON) for n in range(20))
    told = capsys.readouterr().out
    assert f"{packed.photographs} of {PHOTOGRAPHS} to train on" in told
    assert "The repository is not in it" in told
    assert json.loads((tmp_path / "pack/pack.json").read_text())["photographs"] == packed.photographs


@pytest.mark.slow
def test_with_room_for_all_nothing_is_left_out(shards: Path, tmp_path: Path) -> None:
    packed = pack_for_gpu(shards, tmp_path / "pack", megabytes=5.0)
    assert (packed.photographs, packed.quality) == (PHOTOGRAPHS, 90)
    # Every third photograph of a shard of thirty.
    assert packed.with_mesh == 20
    again = pack_for_gpu(shards, tmp_path / "pack", megabytes=5.0, mesh_every=1)
    assert again.with_mesh == PHOTOGRAPHS


@pytest.mark.slow
def test_the_loader_reads_packed_shards_and_unpacked_ones_alike(shards: Path, tmp_path: Path) -> None:
    pack_for_gpu(shards, tmp_path / "pack", megabytes=2.0)
    packed, plain = tmp_path / "pack/shards/train", tmp_path / "plain"
    plain.mkdir()
    for path in list_shards(packed):
        unpack_shard(path, plain / path.name)
    batches = [next(iter(build_loader(LoaderConfig(f, size=64, batch_size=8, workers=0)))) for f in (packed, plain)]
    assert torch.equal(batches[0]["image_srgb"], batches[1]["image_srgb"])
    assert torch.equal(batches[0]["landmarks68_px"], batches[1]["landmarks68_px"])
    assert batches[0]["recognition_embedding"].shape == (8, 128)
    assert batches[0]["landmarks478_weight"].unique().tolist() == [0.0, 1.0]


def test_a_small_sample_is_the_same_face() -> None:
    sample = photograph(0, np.random.default_rng(1))
    small = small_sample(sample, 80, mesh=True)
    assert small.window.side_px == pytest.approx(80.0)
    assert small.patch_srgb.shape == (100, 96, 3)
    assert small.landmarks68_px is not None
    assert sample.landmarks68_px is not None
    # Within a sixteenth of a pixel of rounding, and half a pixel over the patch for its whole size.
    np.testing.assert_allclose(small.landmarks68_px, 0.5 * sample.landmarks68_px, atol=0.6)
    read = decode_sample({"__key__": "p", **encode_sample(small)})
    np.testing.assert_array_equal(read.landmarks68_px, small.landmarks68_px)
    # One that is small already stays as it is, but for the points' rounding.
    assert small_sample(sample, 176, mesh=False).patch_srgb is sample.patch_srgb
    assert small_sample(sample, 176, mesh=False).landmarks478_px is None


@pytest.mark.slow
def test_its_samples_keep_the_contract(shards: Path, tmp_path: Path) -> None:
    from data.augment import plain_view
    from data.crops import make_sample

    pack_for_gpu(shards, tmp_path / "pack", megabytes=2.0)
    members = next(iter(read_shard(list_shards(tmp_path / "pack/shards/val")[0]).values()))
    stored = decode_sample({"__key__": "p", **members})
    validate_sample(make_sample(stored, plain_view(stored, 64), 64))


def test_leaving_out_is_even_and_what_is_owed_goes_on() -> None:
    kept, owed = evenly([1] * 100, 0.25)
    assert sum(kept) == 25
    assert max(np.diff(np.flatnonzero(kept))) <= 5
    rest, _ = evenly([1] * 100, 0.25, owed)
    assert sum(rest) == 25
    assert all(evenly([3, 1, 7], 1.0)[0])


@pytest.mark.slow
def test_weights_are_carried_in_half_precision(shards: Path, tmp_path: Path) -> None:
    start, backbone = tmp_path / "start", tmp_path / "backbone.safetensors"
    start.mkdir()
    save_file({"layer": torch.full((1000,), 0.5), "large": torch.tensor([1e6])}, start / "weights.safetensors")
    (start / "config.json").write_text("{}")
    save_file({"conv": torch.ones(3), "classifier.weight": torch.ones(9)}, backbone)
    pack_for_gpu(shards, tmp_path / "pack", megabytes=2.0, start=start, backbone=backbone)
    weights = load_file(tmp_path / "pack/start/weights.safetensors")
    assert weights["layer"].dtype == torch.float16
    # A half cannot hold it.
    assert weights["large"].item() == 1e6
    assert list(load_file(tmp_path / "pack/backbone.safetensors")) == ["conv"]


@pytest.mark.slow
def test_skins_and_heads_are_thinned_and_stay_what_they_are(shards: Path, tmp_path: Path) -> None:
    skins = torch.arange(10, dtype=torch.uint8)[:, None, None].expand(10, 5, 3).contiguous()
    save_file({"skins_sqrt": skins}, tmp_path / "skins.safetensors", metadata={"format": "likeness-skins-1"})
    (tmp_path / "drawn").mkdir()
    for number in range(3):
        bank = {"color": torch.ones(4, dtype=torch.uint8), "image": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)}
        save_file(bank, tmp_path / "drawn" / f"heads-{number}.safetensors", metadata={"head_sha256": "x"})
    packed = pack_for_gpu(
        shards, tmp_path / "pack", megabytes=2.0, skins=tmp_path / "skins.safetensors", skin_count=4,
        drawn=tmp_path / "drawn", heads=6,
    )  # fmt: skip
    assert (packed.skins, packed.drawn_heads) == (4, 6)
    rows = load_file(tmp_path / "pack/skins.safetensors")["skins_sqrt"][:, 0, 0]
    assert rows.tolist() == [0, 3, 6, 9]
    files = sorted((tmp_path / "pack/drawn").iterdir())
    assert [len(load_file(path)["image"]) for path in files] == [4, 2]


def test_what_cannot_be_is_refused(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="leaves no room for photographs"):
        pack_for_gpu(shards, tmp_path / "small", megabytes=0.01)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="did not write"):
        pack_for_gpu(shards, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").is_file()
    with pytest.raises(SystemExit, match="absent"):
        main(["--shards", str(shards), "--output", str(tmp_path / "x"), "--start", str(tmp_path / "absent")])
    with pytest.raises(SystemExit, match="--mesh_every 0"):
        main(["--shards", str(shards), "--output", str(tmp_path / "x"), "--mesh_every", "0"])
    (tmp_path / "broken.tar").write_bytes(b"no xz")
    with pytest.raises(ValueError, match="broken.tar"):
        unpack_shard(tmp_path / "broken.tar", tmp_path / "plain.tar")
