import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from common.version import VERSION
from model.checkpoint import file_sha256, load_reconstructor, save_checkpoint
from model.encoder.backbone import EncoderConfig
from model.face.assets import save_head
from model.reconstructor import Reconstructor
from tests.small_world import IMAGE_SIZE, crop_camera, toy_head, toy_reconstructor

PROVENANCE = {"photographs": 27679, "note": "trained nowhere"}


def trained() -> Reconstructor:
    torch.manual_seed(0)
    reconstructor = toy_reconstructor()
    for name, value in reconstructor.state_dict().items():
        if value.is_floating_point():
            value.add_((0.001 if name.startswith("parameter_head") else 0.02) * torch.randn_like(value).abs())
    return reconstructor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "head").mkdir()
    save_head(toy_head(), tmp_path / "head" / "head.safetensors")
    save_checkpoint(trained(), tmp_path / "head" / "head.safetensors", tmp_path / "small", PROVENANCE, half=False)
    return tmp_path / "small"


def rewrite_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("half", [False, True])
def test_the_loaded_model_answers_like_the_saved_one(folder: Path, half: bool) -> None:
    head = folder.parent / "head" / "head.safetensors"
    save_checkpoint(trained(), head, folder, PROVENANCE, half=half)
    loaded = load_reconstructor(folder)
    image = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = trained()(image, crop_camera(2)).landmarks68_image[..., :2]
        untrained = toy_reconstructor()(image, crop_camera(2)).landmarks68_image[..., :2]
        answer = loaded(image, crop_camera(2)).landmarks68_image[..., :2]
    # The head file is in half precision both times, the toy head in memory is not.
    torch.testing.assert_close(answer, expected, atol=0.3 if half else 0.02, rtol=0.0)
    assert (expected - untrained).abs().max() > 1.0
    assert not loaded.training


def test_the_version_that_saved_it_is_told_and_not_needed(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text())["likeness_version"] == VERSION
    rewrite_config(folder, lambda config: config.pop("likeness_version"))
    assert load_reconstructor(folder).image_size == IMAGE_SIZE


def test_weights_come_back_to_the_bit_in_full_precision(folder: Path) -> None:
    expected = trained().state_dict()
    for name, value in load_reconstructor(folder).state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, expected[name]), name


def test_half_precision_halves_the_file(folder: Path) -> None:
    full = (folder / "weights.safetensors").stat().st_size
    save_checkpoint(trained(), folder.parent / "head" / "head.safetensors", folder, PROVENANCE)
    assert (folder / "weights.safetensors").stat().st_size < 0.6 * full


def test_head_and_provenance_are_told_and_nothing_of_the_head_is_copied(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["head"] == "../head/head.safetensors"
    assert config["head_sha256"] == file_sha256(folder.parent / "head" / "head.safetensors")
    assert config["provenance"] == PROVENANCE
    assert not any(name.startswith("morphable_model") for name in load_file(folder / "weights.safetensors"))


def test_it_can_be_moved_as_a_whole(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder.parent / "head", tmp_path / "elsewhere" / "head")
    shutil.copytree(folder, tmp_path / "elsewhere" / "small")
    shutil.rmtree(folder)
    load_reconstructor(tmp_path / "elsewhere" / "small")


def test_a_path_as_text_will_do(folder: Path) -> None:
    assert load_reconstructor(str(folder)).image_size == IMAGE_SIZE


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_reconstructor(folder)


def test_a_missing_folder_is_told_where_the_released_one_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="checkpoints/likeness-s"):
        load_reconstructor(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "message"), [("config.json", "not JSON"), ("weights.safetensors", "not a safetensors")]
)
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe\x00"])
def test_garbage_is_refused(folder: Path, name: str, message: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        load_reconstructor(folder)


def test_a_truncated_weights_file_is_refused(folder: Path) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"weights.safetensors: not a safetensors"):
        load_reconstructor(folder)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"format": "another"}'])
def test_another_json_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match="not a likeness-checkpoint-1 config"):
        load_reconstructor(folder)


@pytest.mark.parametrize("key", ["encoder", "image_size", "head", "head_sha256"])
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    rewrite_config(folder, lambda config: config.pop(key))
    with pytest.raises(ValueError, match=f"lacks {key}"):
        load_reconstructor(folder)


def test_a_broken_encoder_entry_is_refused_by_file(folder: Path) -> None:
    rewrite_config(folder, lambda config: config.update(encoder={}))
    with pytest.raises(ValueError, match=r"config\.json.*encoder"):
        load_reconstructor(folder)


def test_another_head_is_refused(folder: Path) -> None:
    save_head(toy_head(identity_count=5), folder.parent / "head" / "head.safetensors")
    with pytest.raises(ValueError, match="not the head file that .* was trained with"):
        load_reconstructor(folder)


def test_a_missing_head_is_named(folder: Path) -> None:
    (folder.parent / "head" / "head.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="head.safetensors"):
        load_reconstructor(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("parameter_head.identity.weight"),
        lambda tensors: tensors.update(stranger=torch.zeros(2)),
        lambda tensors: tensors.update({"parameter_head.identity.bias": torch.zeros(2)}),
    ],
    ids=["missing", "unknown", "of another shape"],
)
def test_wrong_tensors_are_refused_with_both_files(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file(tensors, folder / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors: does not fit .*config\.json"):
        load_reconstructor(folder)


def test_the_weights_of_another_backbone_are_refused(folder: Path) -> None:
    rewrite_config(folder, lambda config: config["encoder"].update(backbone="test_convnext"))
    with pytest.raises(ValueError, match="does not fit"):
        load_reconstructor(folder)


@pytest.mark.parametrize("aligned_look", [False, True])
def test_a_model_that_looks_for_points_comes_back(tmp_path: Path, aligned_look: bool) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors")
    torch.manual_seed(0)
    encoder = EncoderConfig("test_resnet", points=True, aligned_look=aligned_look)
    saved = Reconstructor(encoder, IMAGE_SIZE, toy_head()).eval()
    save_checkpoint(saved, tmp_path / "head.safetensors", tmp_path / "points", {}, half=False)
    loaded = load_reconstructor(tmp_path / "points")
    assert (loaded.config.points, loaded.config.aligned_look) == (True, aligned_look)
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    # What has been written before there were points has none.
    rewrite_config(
        tmp_path / "points", lambda config: [config["encoder"].pop(part) for part in ("points", "aligned_look")]
    )
    with pytest.raises(ValueError, match="does not fit"):
        load_reconstructor(tmp_path / "points")
