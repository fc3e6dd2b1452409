from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.encoder.backbone import EncoderConfig
from model.encoder.detail_head import SIGMA_START_MM, DetailConfig, DetailHead
from model.face.detail import Detail
from model.reconstructor import Reconstructor
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer
from tests.small_world import (
    BACKBONE,
    IMAGE_SIZE,
    crop_camera,
    toy_decoding_reconstructor,
    toy_head,
    toy_hierarchy,
    toy_reconstructor,
)


def photographs(batch: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed))


def awake(spread: float = 1.0) -> Reconstructor:
    """A decoder whose last layer answers with something."""
    reconstructor = toy_decoding_reconstructor()
    torch.manual_seed(0)
    decoder = reconstructor.detail_head
    assert decoder is not None
    torch.nn.init.normal_(decoder.outputs.weight, std=spread)
    return reconstructor


def detail_of(reconstructor: Reconstructor, image: Tensor) -> Detail:
    with torch.no_grad():
        detail = reconstructor(image, crop_camera(len(image))).detail
    assert detail is not None
    return detail


def test_untrained_means_no_detail() -> None:
    reconstructor = toy_decoding_reconstructor()
    detail = detail_of(reconstructor, photographs())
    assert not detail.offsets_mm.any()
    assert not detail.albedo_linear.any()
    assert (detail.sigma_mm == SIGMA_START_MM).all()
    with torch.no_grad():
        plain = toy_reconstructor()(photographs(), crop_camera(2))
        detailed = reconstructor(photographs(), crop_camera(2))
    torch.testing.assert_close(detailed.mesh.vertices_mm, plain.mesh.vertices_mm)
    assert plain.detail is None


def test_detail_is_added_to_the_linear_head() -> None:
    reconstructor = awake()
    with torch.no_grad():
        answer = reconstructor(photographs(), crop_camera(2))
        linear = reconstructor.linear_mesh(answer.parameters)
        again = reconstructor.detail(photographs(), crop_camera(2), answer.parameters)
    assert answer.detail is not None
    assert again is not None
    assert answer.detail.offsets_mm.norm(dim=-1).max() > 0.1
    torch.testing.assert_close(answer.mesh.vertices_mm, linear.vertices_mm + answer.detail.offsets_mm)
    torch.testing.assert_close(answer.mesh.albedo_linear, linear.albedo_linear + answer.detail.albedo_linear)
    in_camera = answer.parameters.to_camera(answer.mesh.vertices_mm)
    torch.testing.assert_close(answer.mesh.vertices_camera_mm, in_camera)
    torch.testing.assert_close(again.offsets_mm, answer.detail.offsets_mm)


def test_offsets_keep_their_bounds_and_leave_eyes_and_mouth_alone() -> None:
    config = DetailConfig(channels=(8, 8, 8), largest_normal_mm=2.0, largest_tangent_mm=1.0)
    reconstructor = Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, toy_head(), config, toy_hierarchy()).eval()
    decoder = reconstructor.detail_head
    assert decoder is not None
    torch.nn.init.normal_(decoder.outputs.weight, std=1000.0)
    detail = detail_of(reconstructor, photographs())
    local_mm = torch.einsum("bvx,vkx->bvk", detail.offsets_mm, decoder.frames)
    assert local_mm[..., :2].abs().max() <= 1.0 + 1e-4
    assert 1.5 < local_mm[..., 2].abs().max() <= 2.0 + 1e-4
    still = torch.from_numpy(toy_head().regions["eyes"] | toy_head().regions["teeth"])
    assert still.any()
    assert not detail.offsets_mm[:, still].any()
    assert (detail.sigma_mm > 0.01).all()
    assert (detail.sigma_mm < 21.0).all()


def test_the_sampled_residual_explains_the_photograph() -> None:
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.detail_head
    assert decoder is not None
    smooth = torch.linspace(0.2, 0.8, IMAGE_SIZE)[None, None, None].expand(1, 3, IMAGE_SIZE, -1).contiguous()
    smooth = smooth * torch.tensor([1.0, 0.8, 0.6])[None, :, None, None]
    with torch.no_grad():
        decoder.outputs.bias[3] = 1.0  # the gate
        answer = reconstructor(smooth, crop_camera(1))
        faces, lighting = reconstructor.morphable_model.faces, answer.parameters.lighting
        renderer = Renderer(build_rasterizer("cpu"))
        rendering = renderer.render_mesh(answer.mesh, lighting, faces, crop_camera(1), IMAGE_SIZE)
    middle = slice(20, 44)
    drawn = linear_to_srgb(rendering.image_linear)[0, middle, middle]
    torch.testing.assert_close(drawn, smooth[0].permute(1, 2, 0)[middle, middle], atol=0.03, rtol=0.0)


def test_a_grey_photograph_changes_the_level_of_the_albedo_and_not_its_hue() -> None:
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.detail_head
    assert decoder is not None
    with torch.no_grad():
        decoder.outputs.bias[3] = 1.0
    grey = photographs(1)[:, :1].expand(-1, 3, -1, -1).contiguous() * 0.3 + 0.3
    with torch.no_grad():
        answer = reconstructor(grey, crop_camera(1))
    assert answer.detail is not None
    seen = answer.detail.visibility[0] > 0
    ratio = answer.mesh.albedo_linear[0, seen] / reconstructor.morphable_model.albedo_mean[seen]
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ratio[:, 0], ratio[:, 2], rtol=1e-3, atol=1e-3)
    assert ratio.std() > 0.05


def test_every_layer_learns() -> None:
    reconstructor = awake(0.1)
    answer = reconstructor(photographs(), crop_camera(2))
    detail = answer.detail
    assert detail is not None
    loss = detail.offsets_mm.square().sum() + detail.albedo_linear.square().sum() + detail.sigma_mm.sum()
    loss.backward()
    decoder = reconstructor.detail_head
    assert decoder is not None
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.slow
def test_it_can_be_taught_a_shape_that_the_components_cannot_make() -> None:
    torch.manual_seed(0)
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.detail_head
    assert decoder is not None
    wanted_mm = 2.0 * decoder.frames[:, 2] * decoder.movable[:, None]
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    image, camera, errors = photographs(), crop_camera(2), []
    for _ in range(40):
        error = (reconstructor(image, camera).detail.offsets_mm - wanted_mm).norm(dim=-1).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.25 * errors[0]


def test_a_batch_gives_what_its_items_give() -> None:
    reconstructor = awake()
    image = photographs(3)
    together = detail_of(reconstructor, image)
    for i in range(3):
        alone = detail_of(reconstructor, image[i : i + 1])
        torch.testing.assert_close(together.offsets_mm[i], alone.offsets_mm[0], atol=1e-4, rtol=1e-4)


def test_what_does_not_fit_the_head_is_refused() -> None:
    model = toy_reconstructor().morphable_model
    with pytest.raises(ValueError, match="build_hierarchy"):
        DetailHead(DetailConfig((8, 8)), 4, model, replace(toy_hierarchy(), vertex_count=5, levels=()))
    with pytest.raises(ValueError, match="5 levels"):
        DetailHead(DetailConfig((8, 8, 8, 8, 8)), 4, model, toy_hierarchy())
    with pytest.raises(ValueError, match="hierarchy"):
        Reconstructor(EncoderConfig(BACKBONE), IMAGE_SIZE, toy_head(), DetailConfig())
    with pytest.raises(ValueError, match="largest_normal_mm"):
        DetailConfig(largest_normal_mm=0.0)
    with pytest.raises(ValueError, match="channels"):
        DetailConfig(channels=(8,))
