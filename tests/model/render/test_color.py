import pytest
import torch

from model.render.color import linear_to_srgb, luminance, srgb_to_linear


def test_round_trip() -> None:
    values = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize(
    ("srgb", "linear"), [(0.0, 0.0), (0.04045, 0.0031308), (0.5, 0.2140411), (0.7353569, 0.5), (1.0, 1.0)]
)
def test_worked_numbers(srgb: float, linear: float) -> None:
    assert float(srgb_to_linear(torch.tensor(srgb))) == pytest.approx(linear, abs=1e-6)
    assert float(linear_to_srgb(torch.tensor(linear))) == pytest.approx(srgb, abs=1e-6)


@pytest.mark.parametrize("function", [srgb_to_linear, linear_to_srgb])
def test_gradients_are_finite_at_and_below_zero(function: object) -> None:
    assert callable(function)
    values = torch.tensor([-1.0, -1e-3, 0.0, 1e-12, 0.003, 0.04, 0.5, 1.0, 2.0], requires_grad=True)
    function(values).sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    assert (values.grad > 0).all()


def test_luminance_of_white_and_primaries() -> None:
    colors = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(luminance(colors), torch.tensor([1.0, 0.2126, 0.7152, 0.0722]))
