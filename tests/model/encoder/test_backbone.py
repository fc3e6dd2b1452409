from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from model.encoder.backbone import Backbone, EncoderConfig

RESNET = "test_resnet"


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local file as users have them: with a classifier and without counters."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "test_resnet.safetensors"
    state = timm.create_model(RESNET, num_classes=10).state_dict()
    save_file({name: value for name, value in state.items() if "num_batches_tracked" not in name}, path)
    return path


@pytest.mark.parametrize("name", [RESNET, "test_vit", "test_convnext", "test_mambaout", "mobilenetv4_conv_small_035"])
@pytest.mark.parametrize("image_size", [64, 96])
def test_features_are_as_wide_as_it_says_for_any_family_and_size(name: str, image_size: int) -> None:
    backbone = Backbone(EncoderConfig(name), image_size).eval()
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, image_size, image_size))
    assert features.shape == (2, backbone.feature_count)
    assert torch.isfinite(features).all()


FAMILIES = [RESNET, "test_vit", "test_convnext", "test_mambaout", "swin_tiny_patch4_window7_224"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_points_follow_the_pooled_features_of_any_family(name: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(EncoderConfig(name, points=True), 64, 5).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        seen = backbone.split(backbone(image))
        pooled = backbone.network((image - backbone.mean) / backbone.std)
    torch.testing.assert_close(seen.pooled, pooled)
    assert seen.points.shape == (2, 5, 2)
    assert seen.log_distance.shape == (2, 5)
    assert bool((seen.points > 0.0).all())
    assert bool((seen.points < 1.0).all())


def test_without_points_the_features_are_the_networks() -> None:
    backbone = Backbone(EncoderConfig(RESNET), 64).eval()
    seen = backbone.split(backbone(torch.rand(2, 3, 64, 64)))
    assert seen.pooled.shape == (2, backbone.feature_count)
    assert seen.points.numel() == seen.log_distance.numel() == 0


def test_a_network_without_feature_maps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU()))
    with pytest.raises(ValueError, match=r"encoder\.points: timm gives no feature maps of 'test_resnet'"):
        Backbone(EncoderConfig(RESNET, points=True), 64, 5)


def test_it_normalises_as_its_weights_expect() -> None:
    backbone = Backbone(EncoderConfig("tf_efficientnet_lite0"), 32)
    assert backbone.mean.flatten().tolist() == pytest.approx([0.5] * 3, abs=0.01)
    seen: list[torch.Tensor] = []
    backbone.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone.eval()(torch.ones(1, 3, 32, 32))
    torch.testing.assert_close(seen[0], (torch.ones(1, 3, 32, 32) - backbone.mean) / backbone.std)
    assert not set(backbone.state_dict()) & {"mean", "std"}


def test_asking_for_the_width_leaves_no_trace_in_the_statistics() -> None:
    backbone = Backbone(EncoderConfig(RESNET), 64)
    assert backbone.network.training
    for name, value in backbone.network.state_dict().items():
        if name.endswith("running_mean"):
            assert not value.any(), name


def test_local_weights_are_taken_but_for_the_classifier(weights_file: Path) -> None:
    backbone = Backbone(EncoderConfig(RESNET, pretrained=str(weights_file)), 64)
    wanted = load_file(weights_file)
    for name, value in backbone.network.state_dict().items():
        if "num_batches_tracked" not in name:
            assert torch.equal(value, wanted[name]), name


def test_an_unknown_backbone_is_refused_with_similar_names() -> None:
    with pytest.raises(ValueError, match=r"resnet_of_mine.*is no timm model; see .*resnet"):
        Backbone(EncoderConfig("resnet_of_mine"), 64)


def test_a_size_that_the_backbone_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="does not take crops of 50 px"):
        Backbone(EncoderConfig("coatnet_nano_rw_224"), 50)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="encoder.pretrained"):
        Backbone(EncoderConfig(RESNET, pretrained=str(tmp_path / "none.safetensors")), 64)


def test_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text("these are not weights")
    with pytest.raises(ValueError, match="weights.safetensors: not a safetensors file"):
        Backbone(EncoderConfig(RESNET, pretrained=str(path)), 64)


def test_the_weights_of_another_backbone_are_refused(weights_file: Path) -> None:
    with pytest.raises(ValueError, match=r"test_resnet.safetensors: does not fit this backbone: \d+ tensors missing"):
        Backbone(EncoderConfig("test_convnext", pretrained=str(weights_file)), 64)


def test_weights_of_another_shape_are_refused_by_name(weights_file: Path, tmp_path: Path) -> None:
    tensors = load_file(weights_file)
    name = next(name for name, value in tensors.items() if value.ndim == 4)
    tensors[name] = tensors[name][:1].contiguous()
    save_file(tensors, tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match=f"1 of another shape .{name}"):
        Backbone(EncoderConfig(RESNET, pretrained=str(tmp_path / "cut.safetensors")), 64)


def test_a_failed_download_says_what_else_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise FileNotFoundError("no connection")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(RuntimeError, match="import_backbone"):
        Backbone(EncoderConfig(RESNET, pretrained="timm"), 64)
