"""Checkpoints of models with a mesh decoder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import file_sha256, load_reconstructor, save_checkpoint
from model.face.assets import save_head
from model.face.hierarchy import save_hierarchy
from model.reconstructor import Reconstructor
from tests.small_world import IMAGE_SIZE, crop_camera, toy_decoding_reconstructor, toy_head, toy_hierarchy


def awake() -> Reconstructor:
    torch.manual_seed(0)
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.detail_head
    assert decoder is not None
    torch.nn.init.normal_(decoder.outputs.weight, std=0.5)
    return reconstructor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_head(toy_head(), tmp_path / "head.safetensors")
    own = replace(toy_hierarchy(), head_sha256=file_sha256(tmp_path / "head.safetensors"))
    save_hierarchy(own, tmp_path / "hierarchy.safetensors")
    save_checkpoint(
        awake(), tmp_path / "head.safetensors", tmp_path / "small", {},
        hierarchy_path=tmp_path / "hierarchy.safetensors", half=False,
    )  # fmt: skip
    return tmp_path / "small"


def test_the_decoder_comes_back_with_its_settings(folder: Path) -> None:
    loaded, saved = load_reconstructor(folder), awake()
    assert loaded.detail_head is not None
    assert saved.detail_head is not None
    assert loaded.detail_head.config == saved.detail_head.config
    image = torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer, expected = (model(image, crop_camera(1)).detail for model in (loaded, saved))
    assert answer is not None
    assert expected is not None
    assert expected.offsets_mm.norm(dim=-1).max() > 0.05
    # The head file is in half precision, the toy head in memory is not.
    torch.testing.assert_close(answer.offsets_mm, expected.offsets_mm, atol=0.02, rtol=0.02)


def test_saving_without_the_hierarchy_is_refused(tmp_path: Path) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match="hierarchy_path"):
        save_checkpoint(awake(), tmp_path / "head.safetensors", tmp_path / "small", {})
    assert not (tmp_path / "small").exists()


def test_a_head_that_succeeds_the_trained_one_is_accepted_and_another_is_not(folder: Path) -> None:
    head_path = folder.parent / "head.safetensors"
    before, digest = load_reconstructor(folder), file_sha256(head_path)
    other_texture = toy_head().uv * np.float32(0.5)
    save_head(replace(toy_head(), uv=other_texture, succeeds=("0" * 64, digest)), head_path)
    after = load_reconstructor(folder)
    image = torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = [model(image, crop_camera(1)).mesh.vertices_mm for model in (before, after)]
    assert torch.equal(*answers)
    save_head(replace(toy_head(), uv=other_texture), head_path)
    with pytest.raises(ValueError, match=r"head\.safetensors: not the head file"):
        load_reconstructor(folder)


def test_another_hierarchy_is_refused(folder: Path) -> None:
    save_hierarchy(toy_hierarchy(2), folder.parent / "hierarchy.safetensors")
    with pytest.raises(ValueError, match=r"hierarchy\.safetensors: not the hierarchy"):
        load_reconstructor(folder)


def test_a_missing_hierarchy_says_how_to_make_one(folder: Path) -> None:
    (folder.parent / "hierarchy.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="build_hierarchy"):
        load_reconstructor(folder)


@pytest.mark.parametrize("settings", [{}, {"channels": [8, 8, 8], "colour": 3}])
def test_settings_that_are_no_decoders_are_refused(folder: Path, settings: dict) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["detail"] = settings
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config\.json: detail"):
        load_reconstructor(folder)


def test_a_config_without_its_hierarchy_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["hierarchy"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="lacks hierarchy"):
        load_reconstructor(folder)
