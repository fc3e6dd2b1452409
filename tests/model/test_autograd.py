"""A backward that is written by hand gives gradients once, and says so when it is asked for more."""

from typing import Any

import pytest
import torch
from torch import Tensor

from model.autograd import once_differentiable


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors
        return 2.0 * value * gradient


def test_the_gradient_is_the_one_that_was_written() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(Square.apply(value), value)
    assert gradient == 6.0


def test_a_gradient_of_the_gradient_is_refused() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    # The square of the square: what arrives at the backward depends on the value as well.
    (gradient,) = torch.autograd.grad(Square.apply(value).square(), value, create_graph=True)
    assert gradient == 108.0
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.backward()
