import dataclasses

import numpy as np
import pytest
import torch

from evaluation.shapes import evaluate_shapes, format_shapes
from model.geometry.mesh import Mesh
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor
from tests.data.data_scenes import face_points
from tests.small_world import IMAGE_SIZE, toy_decoding_reconstructor, toy_hierarchy, toy_reconstructor
from training.synthetic_geometry import PARAMETERS_KEY, SyntheticGeometry, SyntheticGeometryConfig


def batches(reconstructor: Reconstructor, count: int = 2) -> list[dict]:
    config = SyntheticGeometryConfig(batch_size=4, relief=False)
    heads = SyntheticGeometry(config, reconstructor.morphable_model, toy_hierarchy(), IMAGE_SIZE)
    return [heads.batch(i) for i in range(count)]


def test_an_untrained_model_is_the_mean_head() -> None:
    reconstructor = toy_reconstructor()
    result = evaluate_shapes(batches(reconstructor), reconstructor)
    assert result.heads == 8
    assert result.linear_mm == pytest.approx(result.mean_mm)
    assert result.detailed_mm == pytest.approx(result.linear_mm)
    assert result.within_sigma is None
    assert "answered" not in format_shapes(result)


def test_sigma_is_judged_by_how_often_it_holds() -> None:
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.detail_head
    assert decoder is not None
    shares = []
    for log_sigma in (-4.0, 2.0):
        with torch.no_grad():
            decoder.outputs.bias[7] = log_sigma
        result = evaluate_shapes(batches(reconstructor), reconstructor)
        shares.append(result.within_sigma)
        assert result.mean_sigma_mm == pytest.approx(2.0 * 2.718281828**log_sigma, rel=1e-3)
    assert shares[0] < 0.2
    assert shares[1] > 0.9
    assert "taken off" in format_shapes(result)


class Oracle(torch.nn.Module):
    """A reconstructor that was told the answers, or half of what each person differs from the mean."""

    def __init__(self, reconstructor: Reconstructor, truth: list[dict], share: float) -> None:
        super().__init__()
        self.reconstructor, self.share = reconstructor, share
        self.morphable_model = reconstructor.morphable_model
        self.remaining = iter(truth)

    def forward(self, image_srgb: torch.Tensor, intrinsics_px: torch.Tensor) -> Reconstruction:
        true = next(self.remaining)[PARAMETERS_KEY]
        answer = dataclasses.replace(true, identity=self.share * true.identity)
        return self.reconstructor.decode(answer, intrinsics_px)

    def linear_mesh(self, parameters: FaceParameters) -> Mesh:
        return self.reconstructor.linear_mesh(parameters)


def facing(given: list[dict], yaw_degrees: list[float]) -> list[dict]:
    """The same heads, with labels of other turns."""
    turned = torch.stack([torch.from_numpy(_turned(yaw)) for yaw in yaw_degrees])
    return [{**batch, "landmarks68_px": part} for batch, part in zip(given, turned.split(4), strict=True)]


def _turned(yaw_degrees: float) -> np.ndarray:
    angle, points = np.radians(yaw_degrees), face_points()
    rotation = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
    return ((points - points.mean(0)) @ rotation.T).astype(np.float32)


@pytest.mark.parametrize(("share", "variance"), [(1.0, 1.0), (0.5, 0.25)])
def test_who_knows_the_people_has_their_variance_and_correlation(share: float, variance: float) -> None:
    reconstructor = toy_reconstructor()
    given = facing(batches(reconstructor), [0.0, 10.0, -25.0, 45.0, 50.0, -70.0, 80.0, 85.0])
    result = evaluate_shapes(given, Oracle(reconstructor, given, share))  # pyright: ignore[reportArgumentType]
    assert result.front is not None
    assert result.side is not None
    assert (result.front.heads, result.side.heads) == (3, 3)
    for people in (result.front, result.side):
        # Exact but for the similarity onto the mean head.
        assert people.variance == pytest.approx(variance, rel=0.1)
        assert people.correlation == pytest.approx(1.0, abs=0.01)
    if share == 1.0:
        assert result.linear_mm == pytest.approx(0.0, abs=1e-3)
    text = format_shapes(result)
    assert "seen up to 30 degrees (3 heads): variance over the truth's" in text
    assert "seen beyond 60 degrees: correlation with the truth" in text


def test_one_head_for_all_has_no_variance() -> None:
    reconstructor = toy_reconstructor()
    given = facing(batches(reconstructor), [0.0, 10.0, -25.0, 20.0, 29.0, -70.0, 80.0, 85.0])
    result = evaluate_shapes(given, reconstructor)
    assert result.front is not None
    assert result.side is not None
    assert result.front.variance == pytest.approx(0.0, abs=1e-6)
    assert result.side.variance == pytest.approx(0.0, abs=1e-6)


def test_too_few_people_of_a_view_are_not_judged() -> None:
    reconstructor = toy_reconstructor()
    given = facing(batches(reconstructor), [0.0, 10.0, 45.0, 45.0, 45.0, 45.0, 70.0, -80.0])
    result = evaluate_shapes(given, reconstructor)
    assert result.front is result.side is None
    assert "seen" not in format_shapes(result)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="no drawn heads"):
        evaluate_shapes([], toy_reconstructor())
