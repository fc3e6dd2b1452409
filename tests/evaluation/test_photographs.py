from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.photographs import PhotographResult, evaluate_photographs
from evaluation.photographs_table import format_photographs
from model.observation import Observation
from model.recognition.dlib_resnet import DlibResNet
from model.reconstructor import Reconstructor
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb, luminance
from model.render.lighting import neutral_lighting
from model.render.renderer import Renderer
from tests.model.recognition.faces import random_dlib_weights
from tests.small_world import IMAGE_SIZE, crop_camera, toy_reconstructor


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(build_rasterizer("cpu"))


def drawn(reconstructor: Reconstructor, renderer: Renderer, lighting: torch.Tensor) -> Observation:
    """Crops of the mean face where an untrained model answers, under some light."""
    camera = crop_camera(1)
    fake = Observation.fake(1, IMAGE_SIZE)
    with torch.no_grad():
        answer = reconstructor(fake.image_srgb, camera)
        picture = renderer.render_mesh(answer.mesh, lighting, reconstructor.morphable_model.faces, camera, IMAGE_SIZE)
    image_srgb = linear_to_srgb(picture.image_linear).clamp(0.0, 1.0).permute(0, 3, 1, 2)
    inside = (picture.mask > 0.99).float()
    return replace(fake, image_srgb=image_srgb, intrinsics_px=camera, skin_mask=inside)


def some_light() -> torch.Tensor:
    lighting = torch.zeros(1, 9, 3)
    lighting[:, 0] = torch.tensor([0.8, 0.7, 0.6])
    lighting[:, 2:4] = 0.2
    return lighting


@pytest.mark.slow
def test_the_baseline_finds_the_light_of_a_mean_face(reconstructor: Reconstructor, renderer: Renderer) -> None:
    (result,) = evaluate_photographs([drawn(reconstructor, renderer, some_light())], reconstructor, renderer)
    assert result.baseline_psnr_db > 40.0
    assert result.psnr_db < 30.0  # Untrained, the model's light is neutral.


def test_a_grey_photograph_is_compared_in_luminance(reconstructor: Reconstructor, renderer: Renderer) -> None:
    observation = drawn(reconstructor, renderer, some_light())
    grey = linear_to_srgb(luminance(observation.image_srgb.permute(0, 2, 3, 1)))[:, None].expand(-1, 3, -1, -1)
    observation = replace(observation, image_srgb=grey.contiguous(), color=torch.tensor([False]))
    (result,) = evaluate_photographs([observation], reconstructor, renderer)
    assert result.baseline_psnr_db > 25.0


def test_a_crop_without_skin_is_left_out(reconstructor: Reconstructor, renderer: Renderer) -> None:
    observation = drawn(reconstructor, renderer, some_light())
    observation = replace(observation, skin_mask=torch.zeros_like(observation.skin_mask))
    assert evaluate_photographs([observation], reconstructor, renderer) == []


def test_a_recognition_network_is_asked_about_photograph_and_rendering(
    reconstructor: Reconstructor, renderer: Renderer, tmp_path: Path
) -> None:
    network = DlibResNet(random_dlib_weights(tmp_path / "weights.npz"))
    observation = drawn(reconstructor, renderer, neutral_lighting(1))
    with torch.no_grad():
        answer = reconstructor(observation.image_srgb, observation.intrinsics_px)
    observation = replace(observation, landmarks68_px=answer.landmarks68_image)
    (result,) = evaluate_photographs([observation], reconstructor, renderer, network)
    assert result.yardstick is not None
    assert result.rendering_yardstick is not None
    # An untrained model draws this very picture.
    close = np.linalg.norm(result.yardstick - result.rendering_yardstick)
    assert close < 0.05 * np.linalg.norm(result.yardstick)


def test_the_text_names_both_measures() -> None:
    rng = np.random.default_rng(0)
    results = [
        PhotographResult(20.0 + i, 19.0 + i, 21.0 + i, 15.0, 14.0, 2.5, 20.0 * i - 50.0, rng.normal(size=4), i // 2)
        for i in range(6)
    ]
    text = format_photographs(results)
    assert "22.50" in text
    assert "15.00" in text
    assert "6 photographs, 3 people, 3 same pairs" in text
    assert "drawn head" not in text
    judged = [
        replace(result, yardstick=rng.normal(size=5), rendering_yardstick=rng.normal(size=5)) for result in results
    ]
    assert "on the drawn heads" in format_photographs(judged)
    assert "no person appears twice" in format_photographs([replace(result, person=-1) for result in results])
