from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.rendering_recognition import embed_both, format_rendering_recognition, rendering_recognition
from model.observation import Observation
from model.recognition import embed_faces
from model.recognition.dlib_resnet import DlibResNet
from model.render.color import srgb_to_linear
from model.render.renderer import Rendering
from tests.model.recognition.faces import face_points, random_dlib_weights, smooth_pictures

PEOPLE = np.repeat(np.arange(5), 4)


def vectors(spread: float, seed: int) -> np.ndarray:
    """Of faces that scatter around their people, who scatter around a mean that all share."""
    people = 3.0 + np.random.default_rng(0).normal(size=(5, 12))
    return people[PEOPLE] + spread * np.random.default_rng(seed).normal(size=(len(PEOPLE), 12))


def test_renderings_that_show_their_people_are_told_apart() -> None:
    result = rendering_recognition(vectors(0.1, 1), vectors(0.2, 2), PEOPLE)
    assert result.photograph_area == result.rendering_area == result.crossed_area == 1.0
    assert result.own_cosine > 0.98 > result.stranger_cosine


def test_renderings_of_nobody_are_not() -> None:
    nobody = np.random.default_rng(3).normal(size=(len(PEOPLE), 12))
    result = rendering_recognition(vectors(0.1, 1), 3.0 + nobody, PEOPLE)
    assert result.photograph_area == 1.0
    assert abs(result.rendering_area - 0.5) < 0.15
    assert abs(result.crossed_area - 0.5) < 0.15
    assert result.own_cosine == pytest.approx(result.stranger_cosine, abs=0.05)


def test_a_rendering_that_only_knows_its_own_photograph_counts_for_nothing() -> None:
    people = np.repeat(np.arange(20), 2)
    photographs = np.random.default_rng(1).normal(size=(len(people), 12))
    result = rendering_recognition(photographs, photographs, people)
    assert result.own_cosine == pytest.approx(1.0)
    assert abs(result.crossed_area - 0.5) < 0.15


def test_heads_are_seen_alone_by_the_models_points_and_photographs_by_their_labels(tmp_path: Path) -> None:
    network = DlibResNet(random_dlib_weights(tmp_path / "weights.npz"))
    labels, found = (torch.stack((face_points(center, 0.0, 20.0),) * 2) for center in ((32.0, 30.0), (30.0, 34.0)))
    observation = replace(
        Observation.fake(2, 64),
        image_srgb=smooth_pictures(2, 64, 64),
        landmarks68_px=torch.nn.functional.pad(labels, (0, 1)),
        color=torch.tensor([True, False]),
    )
    head_srgb = (1.0 - smooth_pictures(2, 64, 64)[:, :1]).expand(-1, 3, -1, -1)
    mask = torch.zeros(2, 64, 64)
    mask[:, 10:50, 10:50] = 1.0
    head_srgb = head_srgb * mask[:, None]
    image_linear = srgb_to_linear(head_srgb).permute(0, 2, 3, 1)
    rendering = Rendering(image_linear, mask, image_linear, image_linear, image_linear, mask, mask.int())
    photographs, heads = embed_both(network, observation, rendering, found)
    expected = embed_faces(network, observation.image_srgb, labels)
    np.testing.assert_allclose(photographs, expected, rtol=1e-5)
    np.testing.assert_allclose(heads, embed_faces(network, head_srgb, found), rtol=1e-3, atol=1e-3)


def test_the_text_names_every_figure() -> None:
    result = rendering_recognition(vectors(0.1, 1), vectors(0.9, 2), PEOPLE)
    text = "\n".join(format_rendering_recognition(result))
    for value in (result.photograph_area, result.rendering_area, result.crossed_area, result.own_cosine):
        assert f"{value:.3f}" in text
