import pytest
import torch

from inference.network_outputs import (
    FEATURES,
    LANDMARKS,
    PARAMETERS,
    POINTS,
    NetworkOutputs,
    encoded_of,
    example_inputs,
)
from tests.inference.small_network import lively_reconstructor
from tests.small_world import IMAGE_SIZE


@pytest.mark.parametrize("points", [True, False])
@torch.no_grad()
def test_it_answers_as_the_reconstructor_does(points: bool) -> None:
    reconstructor = lively_reconstructor(points=points)
    image_srgb, intrinsics_px = example_inputs(IMAGE_SIZE, 3)
    network = NetworkOutputs(reconstructor)
    given = dict(zip(network.names, network(image_srgb, intrinsics_px), strict=True))
    assert tuple(given) == (*PARAMETERS, LANDMARKS, *(POINTS if points else ()), FEATURES)
    encoded = reconstructor.look_at(image_srgb, intrinsics_px)
    expected = encoded.parameters
    torch.testing.assert_close(encoded_of(given).pooled, encoded.pooled)
    assert float(expected.identity.std(0).min()) > 0.0
    for name in PARAMETERS:
        torch.testing.assert_close(getattr(encoded_of(given).parameters, name), getattr(expected, name))
    torch.testing.assert_close(given[LANDMARKS], reconstructor.landmarks_image(expected, intrinsics_px))
    whole = reconstructor(image_srgb, intrinsics_px).landmarks68_image
    torch.testing.assert_close(given[LANDMARKS], whole, atol=1e-3, rtol=0.0)


@torch.no_grad()
def test_points_are_in_pixels_of_the_crop() -> None:
    reconstructor = lively_reconstructor()
    image_srgb, intrinsics_px = example_inputs(IMAGE_SIZE, 2)
    network = NetworkOutputs(reconstructor)
    given = dict(zip(network.names, network(image_srgb, intrinsics_px), strict=True))
    seen = reconstructor.backbone.split(reconstructor.features(image_srgb))
    torch.testing.assert_close(given["points_px"] / IMAGE_SIZE, seen.points)
    torch.testing.assert_close((given["points_distance_px"] / IMAGE_SIZE).log(), seen.log_distance)


def test_examples_are_crops_and_cameras_that_can_be_meant() -> None:
    image_srgb, intrinsics_px = example_inputs(IMAGE_SIZE, 4)
    assert 0.0 <= float(image_srgb.min()) < 0.2 < 0.8 < float(image_srgb.max()) <= 1.0
    assert not torch.equal(image_srgb, example_inputs(IMAGE_SIZE, 4, seed=1)[0])
    lively_reconstructor()(image_srgb, intrinsics_px)
