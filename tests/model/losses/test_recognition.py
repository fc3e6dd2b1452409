import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.losses.recognition import composite_srgb, recognition_loss, rendering_recognition_loss
from model.observation import Observation
from model.recognition import embed_faces
from model.recognition.dlib_resnet import DlibResNet
from model.render.color import linear_to_srgb, luminance, srgb_to_linear
from model.render.renderer import Rendering
from tests.model.recognition.faces import face_points, random_dlib_weights, smooth_pictures

BATCH, SIZE = 2, 64


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> DlibResNet:
    """It judges pictures, though not by whom they show."""
    return DlibResNet(random_dlib_weights(tmp_path_factory.mktemp("dlib") / "weights.npz"))


class Asked(DlibResNet):
    """Counts how many faces it was asked about."""

    faces = 0

    def embed(self, faces_srgb: Tensor) -> Tensor:
        self.faces += len(faces_srgb)
        return super().embed(faces_srgb)


@pytest.fixture(scope="module")
def observation() -> Observation:
    points = torch.stack((face_points((32.0, 30.0), 0.1, 22.0), face_points((30.0, 34.0), -0.2, 20.0)))
    return dataclasses.replace(
        Observation.fake(BATCH, SIZE),
        image_srgb=smooth_pictures(BATCH, SIZE, SIZE),
        landmarks68_px=torch.nn.functional.pad(points, (0, 1)),
    )


def as_rendering(image_srgb: Tensor) -> Rendering:
    """A rendering that covers the whole picture and looks like this."""
    image_linear = srgb_to_linear(image_srgb).permute(0, 2, 3, 1)
    shape = image_linear.shape[:3]
    return Rendering(
        image_linear, torch.ones(shape), image_linear, image_linear, image_linear, torch.ones(shape),
        torch.zeros(shape, dtype=torch.int32),
    )  # fmt: skip


def other_picture() -> Tensor:
    return 1.0 - smooth_pictures(BATCH, SIZE, SIZE)


@pytest.mark.slow
def test_the_photograph_itself_is_the_best_rendering(network: DlibResNet, observation: Observation) -> None:
    best = rendering_recognition_loss(network, as_rendering(observation.image_srgb), observation)
    assert best < 1e-6
    losses = []
    for share in (0.1, 0.5, 1.0):
        mixed = (1.0 - share) * observation.image_srgb + share * other_picture()
        losses.append(float(rendering_recognition_loss(network, as_rendering(mixed), observation)))
    assert best < losses[0] < losses[1] < losses[2]


def test_it_is_one_minus_the_networks_own_likeness_by_weight(network: DlibResNet, observation: Observation) -> None:
    points, weight = observation.landmarks68_px[..., :2], torch.tensor([1.0, 0.25])
    first, second = (embed_faces(network, image, points) for image in (other_picture(), observation.image_srgb))
    expected = ((1.0 - network.similarity(first, second)) * weight).sum() / 1.25
    found = recognition_loss(network, other_picture(), observation.image_srgb, points, weight)
    torch.testing.assert_close(found, expected)


def test_faces_without_points_are_left_out(network: DlibResNet, observation: Observation) -> None:
    points = observation.landmarks68_px.clone()
    points[1] = 0.0
    unlabelled = dataclasses.replace(observation, landmarks68_px=points, landmarks68_weight=torch.tensor([1.0, 0.0]))
    rendered = other_picture().requires_grad_()
    loss = rendering_recognition_loss(network, as_rendering(rendered), unlabelled)
    (gradient,) = torch.autograd.grad(loss, rendered)
    assert gradient[0].any()
    assert not gradient[1].any()
    alone = recognition_loss(
        network, other_picture()[:1], observation.image_srgb[:1], observation.landmarks68_px[:1, :, :2], torch.ones(1)
    )
    torch.testing.assert_close(loss, alone)
    nobody = dataclasses.replace(observation, landmarks68_weight=torch.zeros(BATCH))
    assert rendering_recognition_loss(network, as_rendering(rendered), nobody) == 0.0


def test_stored_embeddings_say_the_same_and_ask_half(observation: Observation, tmp_path: Path) -> None:
    network = Asked(random_dlib_weights(tmp_path / "weights.npz"))
    embedding = embed_faces(network, observation.image_srgb, observation.landmarks68_px[..., :2])
    known = dataclasses.replace(
        observation, recognition_embedding=embedding, recognition_embedding_weight=torch.tensor([1.0, 0.0])
    )
    network.faces = 0
    stored = rendering_recognition_loss(network, as_rendering(other_picture()), known, stored=True)
    assert network.faces == BATCH
    # The second photograph's is not known, and a row of nothing must not be taken for it.
    first = dataclasses.replace(observation, landmarks68_weight=torch.tensor([1.0, 0.0]))
    network.faces = 0
    torch.testing.assert_close(stored, rendering_recognition_loss(network, as_rendering(other_picture()), first))
    assert network.faces == 2 * BATCH


def test_another_networks_stored_embeddings_are_refused(network: DlibResNet, observation: Observation) -> None:
    other = dataclasses.replace(observation, recognition_embedding=torch.ones(BATCH, 512))
    with pytest.raises(ValueError, match=r"512.*128.*tools\.embed_photographs"):
        rendering_recognition_loss(network, as_rendering(other_picture()), other, stored=True)
    # Nobody was embedded: the length says nothing.
    absent = dataclasses.replace(other, recognition_embedding_weight=torch.zeros(BATCH))
    assert rendering_recognition_loss(network, as_rendering(other_picture()), absent, stored=True) == 0.0


def test_a_grey_photograph_says_nothing_about_hue(observation: Observation) -> None:
    rendering = as_rendering(other_picture())
    color = torch.tensor([True, False])
    drawn = composite_srgb(rendering, observation.image_srgb, torch.ones(BATCH, SIZE, SIZE), color)
    torch.testing.assert_close(drawn[0], other_picture()[0], atol=1e-5, rtol=0.0)
    grey = linear_to_srgb(luminance(rendering.image_linear))[1]
    torch.testing.assert_close(drawn[1], grey.expand(3, SIZE, SIZE))


def test_only_the_face_is_drawn_and_its_border_is_not_pulled(observation: Observation) -> None:
    rendering = as_rendering(other_picture())
    coverage = torch.ones(BATCH, SIZE, SIZE)
    coverage[..., : SIZE // 2] = 0.25
    coverage.requires_grad_()
    mask = torch.ones(BATCH, SIZE, SIZE)
    mask[:, :10] = 0.0
    drawn = composite_srgb(
        dataclasses.replace(rendering, mask=coverage), observation.image_srgb, mask, torch.ones(BATCH).bool()
    )
    assert not drawn.requires_grad
    torch.testing.assert_close(drawn[:, :, :10], observation.image_srgb[:, :, :10])
    expected = 0.25 * other_picture() + 0.75 * observation.image_srgb
    torch.testing.assert_close(drawn[..., 10:, :20], expected[..., 10:, :20], atol=1e-5, rtol=0.0)
    torch.testing.assert_close(drawn[..., 10:, 40:], other_picture()[..., 10:, 40:], atol=1e-5, rtol=0.0)


@pytest.mark.slow
def test_gradients_are_those_of_small_changes_and_none_reach_the_photograph(
    observation: Observation, tmp_path: Path
) -> None:
    network = DlibResNet(random_dlib_weights(tmp_path / "weights.npz")).double()
    photograph = observation.image_srgb.double().requires_grad_()
    rendered = other_picture().double().requires_grad_()
    points, weight = observation.landmarks68_px[..., :2].double(), torch.ones(BATCH).double()
    loss = recognition_loss(network, rendered, photograph, points, weight)
    (gradient,) = torch.autograd.grad(loss, rendered, retain_graph=True)
    assert torch.autograd.grad(loss, photograph, allow_unused=True) == (None,)
    known = torch.ones(BATCH, 128).double().requires_grad_()
    loss_of_known = recognition_loss(network, rendered, photograph, points, weight, known)
    assert torch.autograd.grad(loss_of_known, (photograph, known), allow_unused=True) == (None, None)
    change = torch.randn(rendered.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-8  # Thousands of kinks lie within a larger one.
    with torch.no_grad():
        moved = [recognition_loss(network, rendered + s * step * change, photograph, points, weight) for s in (1, -1)]
    torch.testing.assert_close((gradient * change).sum(), (moved[0] - moved[1]) / (2 * step), rtol=1e-5, atol=0.0)
