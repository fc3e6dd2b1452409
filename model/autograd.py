"""torch's `once_differentiable` with a type that may override `Function.backward`."""

from collections.abc import Callable
from typing import TypeVar

from torch.autograd import function

Gradients = TypeVar("Gradients")


def once_differentiable(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Mark a backward that is written by hand: asking for a gradient of its gradient is an error, not a wrong number.

    torch's own decorator names its first parameter by place only, which `Function.backward` does not, so type checkers
    refuse every class that uses it.
    """
    return function.once_differentiable(backward)
