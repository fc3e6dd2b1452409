import pytest
import torch

from evaluation.shapes import evaluate_shapes, format_shapes
from model.reconstructor import Reconstructor
from tests.small_world import IMAGE_SIZE, toy_decoding_reconstructor, toy_hierarchy, toy_reconstructor
from training.synthetic_geometry import SyntheticGeometry, SyntheticGeometryConfig


def batches(reconstructor: Reconstructor, count: int = 2) -> list[dict]:
    config = SyntheticGeometryConfig(batch_size=4, relief=False)
    heads = SyntheticGeometry(config, reconstructor.morphable_model, toy_hierarchy(), IMAGE_SIZE)
    return [heads.batch(i) for i in range(count)]


def test_an_untrained_model_is_the_mean_head() -> None:
    reconstructor = toy_reconstructor()
    result = evaluate_shapes(batches(reconstructor), reconstructor)
    assert result.heads == 8
    assert result.linear_mm == pytest.approx(result.mean_mm)
    assert result.refined_mm == pytest.approx(result.linear_mm)
    assert result.within_sigma is None
    assert "answered" not in format_shapes(result)


def test_sigma_is_judged_by_how_often_it_holds() -> None:
    reconstructor = toy_decoding_reconstructor()
    decoder = reconstructor.refinement_head
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


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="no drawn heads"):
        evaluate_shapes([], toy_reconstructor())
