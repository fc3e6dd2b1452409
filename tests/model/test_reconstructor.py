import dataclasses

import pytest
import torch
from torch import Tensor

from model.encoder.backbone import EncoderConfig
from model.encoder.parameter_head import CROP_RISE_OVER_SIDE, CROP_SIDE_OVER_BOX
from model.geometry.camera import crop_intrinsics, default_intrinsics, project
from model.reconstructor import Reconstructor
from tests.small_world import (
    BACKBONE,
    IMAGE_SIZE,
    crop_camera,
    toy_decoding_reconstructor,
    toy_head,
    toy_reconstructor,
)


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


def photographs(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))


def trained(seed: int = 0, spread: float = 0.02) -> Reconstructor:
    """A reconstructor whose linear layers answer with something."""
    reconstructor = toy_reconstructor()
    torch.manual_seed(seed)
    for parameter in reconstructor.parameter_head.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return reconstructor


def in_middle_crop(head_px: Tensor) -> tuple[Tensor, Tensor]:
    """Size over the crop's side, and place in it, of each face's box."""
    lowest, highest = head_px[..., :2].amin(1), head_px[..., :2].amax(1)
    return (highest - lowest).prod(-1).sqrt() / IMAGE_SIZE, 0.5 * (highest + lowest) / IMAGE_SIZE


def test_untrained_means_the_mean_face(reconstructor: Reconstructor) -> None:
    with torch.no_grad():
        answer = reconstructor(photographs(), crop_camera(2))
    parameters, model = answer.parameters, reconstructor.morphable_model
    for name in ("identity", "expression", "albedo"):
        assert not getattr(parameters, name).any(), name
    torch.testing.assert_close(answer.mesh.vertices_mm, model.mean_mm.expand(2, -1, -1))
    torch.testing.assert_close(answer.mesh.albedo_linear, model.albedo_mean.expand(2, -1, -1))
    assert (parameters.lighting[:, 0] == 1).all()
    assert not parameters.lighting[:, 1:].any()


@pytest.mark.parametrize("focal_over_size", [2.5, 4.0, 8.0])
def test_untrained_it_faces_the_camera_and_fills_the_crop_as_crops_are_cut(
    reconstructor: Reconstructor, focal_over_size: float
) -> None:
    with torch.no_grad():
        answer = reconstructor(photographs(1), crop_camera(1, focal_over_size=focal_over_size))
    assert (answer.landmarks68_image[..., 2] > 100).all()
    size, middle = in_middle_crop(answer.landmarks68_image)
    # Perspective makes the nearer parts larger, so the box is not quite that of the mean head at one depth.
    assert size.item() == pytest.approx(1.0 / CROP_SIDE_OVER_BOX, rel=0.1)
    torch.testing.assert_close(middle, torch.tensor([[0.5, 0.5 + CROP_RISE_OVER_SIDE]]), atol=0.02, rtol=0.0)
    rotation = answer.parameters.rotation[0]
    degrees_off = torch.rad2deg(torch.acos(rotation[2, 2]))
    # The face's middle lies a little below the principal point, and it looks at the camera from there.
    assert degrees_off < 2.5


def test_from_afar_the_untrained_box_is_exact(reconstructor: Reconstructor) -> None:
    with torch.no_grad():
        answer = reconstructor(photographs(1), crop_camera(1, focal_over_size=400.0))
    size, middle = in_middle_crop(answer.landmarks68_image)
    assert size.item() == pytest.approx(1.0 / CROP_SIDE_OVER_BOX, rel=2e-3)
    torch.testing.assert_close(middle, torch.tensor([[0.5, 0.5 + CROP_RISE_OVER_SIDE]]), atol=2e-3, rtol=0.0)


@pytest.mark.parametrize("window", [(500.0, 40.0, 130.0), (-30.0, 300.0, 200.0)])
def test_the_untrained_answer_follows_the_window(
    reconstructor: Reconstructor, window: tuple[float, float, float]
) -> None:
    """Whichever window of the photograph is looked at, the head stands on its ray and turns towards the camera."""
    left_px, top_px, side_px = window
    photograph_px = default_intrinsics(480, 640)[None]
    crop_px = crop_intrinsics(photograph_px, left_px, top_px, IMAGE_SIZE / side_px)
    with torch.no_grad():
        answer = reconstructor(photographs(1), crop_px)
    size, middle = in_middle_crop(answer.landmarks68_image)
    assert size.item() == pytest.approx(1.0 / CROP_SIDE_OVER_BOX, rel=0.1)
    torch.testing.assert_close(middle, torch.tensor([[0.5, 0.5 + CROP_RISE_OVER_SIDE]]), atol=0.02, rtol=0.0)
    # The camera-space answer is that of the photograph: its own intrinsics give photograph pixels.
    landmarks_mm = answer.parameters.to_camera(answer.landmarks68_mm)
    in_photograph = project(landmarks_mm, photograph_px)[..., :2]
    from_crop = answer.landmarks68_image[..., :2] * side_px / IMAGE_SIZE + torch.tensor([left_px, top_px])
    torch.testing.assert_close(in_photograph, from_crop, atol=0.05, rtol=0.0)


def test_two_windows_in_which_the_head_is_told_at_the_same_place_give_the_same_head_in_space() -> None:
    """Cutting the crop elsewhere must not turn, move or resize the head in the camera's space."""
    head = trained().parameter_head
    feature_count = head.identity.in_features
    photograph_px = default_intrinsics(480, 640)[None]
    features = torch.randn(1, feature_count, generator=torch.Generator().manual_seed(0))
    # The camera's modulation knows the crop's angular size; it is left out, since it may rightly change the answer.
    torch.nn.init.zeros_(head.camera.weight)
    torch.nn.init.zeros_(head.camera.bias)
    side_px, shift = 160.0, torch.tensor([0.11, -0.07])
    first = crop_intrinsics(photograph_px, 300.0, 100.0, IMAGE_SIZE / side_px)
    second = crop_intrinsics(
        photograph_px, 300.0 + side_px * float(shift[0]), 100.0 + side_px * float(shift[1]), IMAGE_SIZE / side_px
    )
    with torch.no_grad():
        here = head(features, first, IMAGE_SIZE)
        # In the moved window the same head is seen at another place.
        head.placement.bias[1:] -= shift
        there = head(features, second, IMAGE_SIZE)
    torch.testing.assert_close(here.rotation, there.rotation, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(here.translation_mm, there.translation_mm, atol=0.02, rtol=0.0)


def test_decode_repeats_forward_and_takes_edited_parameters() -> None:
    reconstructor = trained()
    with torch.no_grad():
        answer = reconstructor(photographs(), crop_camera(2))
        again = reconstructor.decode(answer.parameters, crop_camera(2))
        torch.testing.assert_close(again.landmarks68_image, answer.landmarks68_image)
        smaller = dataclasses.replace(answer.parameters, identity=torch.zeros_like(answer.parameters.identity))
        edited = reconstructor.decode(smaller, crop_camera(2))
    assert (edited.mesh.vertices_mm - answer.mesh.vertices_mm).abs().max() > 0.1
    assert torch.equal(edited.parameters.rotation, answer.parameters.rotation)


@pytest.mark.parametrize(("name", "count"), [("ibug68", 68), ("mediapipe478", 478)])
def test_the_fast_landmarks_are_those_of_the_mesh(name: str, count: int) -> None:
    reconstructor = trained()
    with torch.no_grad():
        answer = reconstructor(photographs(), crop_camera(2))
        fast = reconstructor.landmarks_image(answer.parameters, crop_camera(2), name)
    on_mesh = reconstructor.morphable_model.landmarks(answer.mesh.vertices_camera_mm, name)
    assert fast.shape == (2, count, 3)
    torch.testing.assert_close(fast, project(on_mesh, crop_camera(2)), atol=0.01, rtol=0.0)


def test_faces_of_a_batch_do_not_touch_one_another() -> None:
    reconstructor = trained()
    images = photographs(3)
    with torch.no_grad():
        together = reconstructor(images, crop_camera(3))
        alone = reconstructor(images[1:2], crop_camera(1))
    torch.testing.assert_close(
        together.mesh.vertices_camera_mm[1:2], alone.mesh.vertices_camera_mm, atol=1e-2, rtol=0.0
    )


def test_every_layer_learns_from_landmarks_and_albedo_when_untrained() -> None:
    reconstructor = toy_reconstructor().train()
    answer = reconstructor(photographs(4), crop_camera(4))
    target = answer.landmarks68_image.detach() + torch.randn(4, 68, 3)
    loss = (answer.landmarks68_image - target).square().mean()
    loss = loss + (answer.mesh.albedo_linear - 0.3).square().mean() + (answer.parameters.lighting - 0.1).square().mean()
    loss.backward()
    for name in ("identity", "expression", "albedo", "rotation", "placement", "lighting"):
        gradient = getattr(reconstructor.parameter_head, name).weight.grad
        assert gradient.abs().sum() > 0, name


def test_crops_of_another_size_are_refused(reconstructor: Reconstructor) -> None:
    with pytest.raises(ValueError, match=f"takes {IMAGE_SIZE}"):
        reconstructor(torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE + 2)[..., :32, :32], crop_camera(1))


@pytest.mark.parametrize("backbone", [BACKBONE, "test_vit", "mobilenetv4_conv_small_035"])
def test_any_timm_backbone_stands_behind_it(backbone: str) -> None:
    """A residual network, a transformer, and one whose pooled features are wider than timm's `num_features` says."""
    reconstructor = Reconstructor(EncoderConfig(backbone), IMAGE_SIZE, toy_head()).eval()
    with torch.no_grad():
        answer = reconstructor(photographs(1), crop_camera(1))
    size, _ = in_middle_crop(answer.landmarks68_image)
    assert size.item() == pytest.approx(1.0 / CROP_SIDE_OVER_BOX, rel=0.1)


def decoding() -> Reconstructor:
    """A reconstructor whose layers all answer with something, the mesh decoder's too."""
    torch.manual_seed(0)
    reconstructor = toy_decoding_reconstructor()
    assert reconstructor.detail_head is not None
    for parameter in (*reconstructor.parameter_head.parameters(), *reconstructor.detail_head.parameters()):
        torch.nn.init.normal_(parameter, std=0.02)
    return reconstructor


class Vertices(torch.nn.Module):
    """The vertices alone: what is exported has tensors as outputs."""

    def __init__(self, reconstructor: Reconstructor) -> None:
        super().__init__()
        self.reconstructor = reconstructor

    def forward(self, image_srgb: Tensor, intrinsics_px: Tensor) -> Tensor:
        return self.reconstructor(image_srgb, intrinsics_px).mesh.vertices_camera_mm


@pytest.mark.slow
def test_a_compiled_model_and_an_exported_one_answer_as_the_model_does() -> None:
    model = Vertices(decoding()).eval()
    given = photographs(), crop_camera(2)
    with torch.no_grad():
        expected = model(*given)
        batch = torch.export.Dim("batch", min=1, max=64)
        exported = torch.export.export(model, given, dynamic_shapes=({0: batch}, {0: batch})).module()
        torch.testing.assert_close(exported(*given), expected, atol=1e-2, rtol=0.0)
        more = photographs(3), crop_camera(3)
        torch.testing.assert_close(exported(*more), model(*more), atol=1e-2, rtol=0.0)
        compiled = torch.compile(model, backend="eager")
        torch.testing.assert_close(compiled(*given), expected, atol=1e-2, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_of_the_input_and_of_the_model(dtype: torch.dtype) -> None:
    """Half precision is the backbone's alone: in it a head a metre away has steps of half a millimetre and more."""
    model = Vertices(decoding()).eval()
    narrow = photographs().to(dtype), crop_camera(2).to(dtype)
    with torch.no_grad():
        expected = model(photographs(), crop_camera(2))
        given = model(*narrow)
        assert given.dtype == torch.float32
        torch.testing.assert_close(given, expected, atol=2.0, rtol=0.0)
        model.to(dtype)
        answer = model(*narrow)
    assert answer.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(answer.float(), expected, atol=10.0, rtol=0.0)
    assert next(model.reconstructor.backbone.parameters()).dtype == dtype
    # The head model itself loses nothing.
    assert torch.equal(model.reconstructor.morphable_model.mean_mm.float(), toy_reconstructor().morphable_model.mean_mm)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_points_are_found_in_single_precision_and_more(dtype: torch.dtype) -> None:
    model = toy_reconstructor(points=True)
    names = list(model.state_dict())
    with torch.no_grad():
        expected = model(photographs(), crop_camera(2)).landmarks68_image
        model.to(dtype)
        answer = model(photographs().to(dtype), crop_camera(2).to(dtype)).landmarks68_image
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    assert {weight.dtype for weight in model.backbone.decoder.parameters()} == {precise}
    assert {weight.dtype for weight in model.backbone.network.parameters()} == {dtype}
    assert answer.dtype == precise
    torch.testing.assert_close(answer[..., :2].float(), expected[..., :2], atol=0.5, rtol=0.0)
    assert list(model.state_dict()) == names
