"""Terms by name, weighted by the config; what has no weight is not computed."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.config import LossConfig

Terms = dict[str, Float[Tensor, ""]]
"""Weighted losses by the name of their field in `LossConfig`."""


def weighted(config: LossConfig, terms: Mapping[str, Callable[[], Float[Tensor, ""]]]) -> Terms:
    """Compute the terms that have a weight, times it."""
    weights = config.weights()
    return {name: weights[name] * compute() for name, compute in terms.items() if weights[name] > 0.0}


def total(terms: Terms, *, check: bool = True) -> Float[Tensor, ""]:
    """Sum of the terms.

    Args:
        terms: The losses.
        check: Look whether the sum is finite. That waits for the device: on a GPU not at every step.

    Raises:
        FloatingPointError: Naming the terms that are not finite.
        ValueError: If there is no term.
    """
    if not terms:
        raise ValueError("no loss has a weight: set one in the config's `loss`")
    loss = torch.stack(list(terms.values())).sum()
    if check and not torch.isfinite(loss):
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        raise FloatingPointError(f"loss is not finite: {', '.join(bad)}")
    return loss
