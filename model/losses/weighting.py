"""Terms by name, weighted by the config; what has no weight is not computed."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from model.losses.config import LossConfig

Given = TypeVar("Given")

Terms = dict[str, Float[Tensor, ""]]
"""Weighted losses by the name of their field in `LossConfig`."""


def weighted(config: LossConfig, losses: Mapping[str, Callable[[Given], Float[Tensor, ""]]], given: Given) -> Terms:
    """Compute the losses that have a weight, times it.

    Args:
        config: Weights.
        losses: Functions by the name of their field in `LossConfig`.
        given: What they are computed from.
    """
    weights = config.weights()
    return {name: weights[name] * compute(given) for name, compute in losses.items() if weights[name] > 0.0}


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
