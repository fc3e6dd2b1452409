"""A release in pieces: joined it is what it was, and a broken piece is refused by its name."""

import json
import subprocess
from pathlib import Path

import pytest

from model import load_reconstructor
from tests.small_checkpoint import toy_checkpoint
from tools.join_pieces import SUMS_NAME, join_pieces, main, pack_release, split_into_pieces


def test_split_and_joined_it_is_the_same(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    paths = split_into_pieces(content, tmp_path, "a.tar", 1000)
    assert [path.name for path in paths] == ["a.tar.00", "a.tar.01", "a.tar.02"]
    assert max(path.stat().st_size for path in paths) == 1000
    assert join_pieces(tmp_path) == content
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS_NAME], cwd=tmp_path, check=True)
    # A smaller one leaves nothing of the larger one behind.
    split_into_pieces(b"short", tmp_path, "a.tar", 1000)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.00", SUMS_NAME}
    assert join_pieces(tmp_path) == b"short"


def test_a_broken_piece_is_refused_by_name(tmp_path: Path) -> None:
    paths = split_into_pieces(b"x" * 25, tmp_path, "a.tar", 10)
    paths[1].write_bytes(b"y" * 10)
    with pytest.raises(ValueError, match=r"a\.tar\.01: this piece is broken"):
        join_pieces(tmp_path)
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.tar\.01: this piece is missing"):
        join_pieces(tmp_path)
    (tmp_path / SUMS_NAME).write_text("0  ../a.tar.00\n")
    with pytest.raises(ValueError, match="not a SHA-256"):
        join_pieces(tmp_path)
    (tmp_path / SUMS_NAME).unlink()
    with pytest.raises(FileNotFoundError, match=SUMS_NAME):
        join_pieces(tmp_path)
    with pytest.raises(ValueError, match="another size"):
        split_into_pieces(b"x" * 200, tmp_path, "a.tar", 1)


def test_a_checkpoint_finds_its_head_from_where_it_now_lies(tmp_path: Path) -> None:
    release = toy_checkpoint(tmp_path)
    (tmp_path / "out").mkdir()
    pieces = pack_release(release, tmp_path / "out", "likeness-l", 20_000)
    assert len(pieces) > 1
    output = tmp_path / "elsewhere" / "deep" / "likeness-l"
    options = ["--pieces", str(tmp_path / "out"), "--output", str(output), "--head", str(tmp_path / "head.safetensors")]
    main(options)
    assert json.loads((output / "config.json").read_text())["head"] == "../../../head.safetensors"
    assert load_reconstructor(output).image_size == load_reconstructor(release).image_size


def test_another_head_or_no_checkpoint_is_refused(tmp_path: Path) -> None:
    split_into_pieces(b"no tar", tmp_path, "a.tar")
    with pytest.raises(SystemExit, match="hold no checkpoint"):
        main(["--pieces", str(tmp_path), "--output", str(tmp_path / "x")])
    release = toy_checkpoint(tmp_path)
    (tmp_path / "out").mkdir()
    pack_release(release, tmp_path / "out", "likeness-l")
    options = ["--pieces", str(tmp_path / "out"), "--output", str(tmp_path / "x")]
    with pytest.raises(SystemExit, match="not the head"):
        main([*options, "--head", str(release / "config.json")])
    assert not (tmp_path / "x").exists()
