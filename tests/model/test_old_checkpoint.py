"""A checkpoint of an earlier version is read, and the names of today are told once."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import file_sha256, load_reconstructor, save_checkpoint
from model.face.assets import save_head
from model.face.hierarchy import save_hierarchy
from tests.small_world import IMAGE_SIZE, crop_camera, toy_decoding_reconstructor, toy_head, toy_hierarchy


def rewritten(folder: Path) -> None:
    """The folder as version 0.1 wrote it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    old = {"refinement" if key == "detail" else key: value for key, value in config.items()}
    (folder / "config.json").write_text(json.dumps(old), encoding="utf-8")
    path = folder / "weights.safetensors"
    weights = {name.replace("detail_head.", "refinement_head."): value for name, value in load_file(path).items()}
    assert any(name.startswith("refinement_head.") for name in weights)
    save_file(weights, path, metadata={"format": "likeness-checkpoint-1"})


def test_its_decoder_is_found_under_its_name_of_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors")
    own = replace(toy_hierarchy(), head_sha256=file_sha256(tmp_path / "head.safetensors"))
    save_hierarchy(own, tmp_path / "hierarchy.safetensors")
    saved = toy_decoding_reconstructor()
    assert saved.detail_head is not None
    with torch.no_grad():
        for weight in saved.detail_head.parameters():
            weight.add_(0.01)
    folder = tmp_path / "checkpoint"
    places = tmp_path / "head.safetensors", folder, {}
    save_checkpoint(saved, *places, hierarchy_path=tmp_path / "hierarchy.safetensors", half=False)
    rewritten(folder)
    with caplog.at_level(logging.WARNING):
        loaded = load_reconstructor(folder)
    assert [record.message for record in caplog.records] == [
        f"{folder / 'config.json'}: `refinement` is called `detail` now"
    ]
    image = torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer, expected = (model(image, crop_camera(1)).detail for model in (loaded, saved))
    assert answer.offsets_mm.norm(dim=-1).max() > 0.0
    torch.testing.assert_close(answer.offsets_mm, expected.offsets_mm)
