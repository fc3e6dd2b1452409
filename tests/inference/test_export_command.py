import json
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from common.paths import REPOSITORY
from inference.export_command import main
from inference.network_file import FACTS_FILE
from model.checkpoint import source_sha256
from tests.inference.small_network import lively_checkpoint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "network.pt2"], "expected a file name that ends in .onnx"),
        (["--output", "docs.onnx/network.onnx"], "docs.onnx is in the way"),
        (["--output", "folder.onnx"], "a folder of this name is in the way"),
        (["--output", "n.onnx", "--checkpoint", "nowhere"], "--checkpoint nowhere: no checkpoint"),
        (["--output", "n.onnx", "--photographs", "nowhere"], "--photographs nowhere: no such folder"),
        (["--output", "n.pt2", "--format", "pt2", "--precision", "half"], "only with --format onnx"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs.onnx").write_text("a file")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    assert main(["--format", "onnx", "--checkpoint", "checkpoint", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("likeness export: ")
    assert said in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "docs.onnx", "folder.onnx"]


def test_without_the_packages_that_write_it_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("inference.export_options.find_spec", lambda name: None)
    checkpoint = lively_checkpoint(tmp_path)
    assert main(["--format", "onnx", "--checkpoint", str(checkpoint), "--output", str(tmp_path / "n.onnx")]) == 2
    assert "needs the package onnx: pip install onnx onnxscript" in capsys.readouterr().err


def test_a_checkpoint_that_is_broken_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert main(["--format", "pt2", "--checkpoint", str(tmp_path), "--output", str(tmp_path / "n.pt2")]) == 2
    assert "config.json: not a likeness-checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "n.pt2").exists()


@pytest.mark.slow
def test_it_writes_the_file_and_says_how_well_it_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = lively_checkpoint(tmp_path)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(skimage.data.astronaut()).save(photographs / "astronaut.png")
    (photographs / "broken.png").write_text("no picture")
    words = ["--format", "pt2", "--checkpoint", str(checkpoint), "--output", str(tmp_path / "n.pt2")]
    assert main([*words, "--photographs", str(photographs)]) == 0
    told = capsys.readouterr()
    assert "PyTorch's exported program" in told.out
    assert "over 8 crops that are no photographs" in told.out
    assert "over 1 crops of " in told.out
    assert "broken.png" in told.err
    extra = {FACTS_FILE: ""}
    torch.export.load(tmp_path / "n.pt2", extra_files=extra)
    assert json.loads(extra[FACTS_FILE]).items() >= source_sha256(checkpoint).items()


def test_the_page_names_only_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    page = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")
    commands = [line for line in page.splitlines() if "likeness export " in line and line.startswith("    ")]
    assert commands
    for command in commands:
        for word in command.split():
            assert not word.startswith("--") or word in known
