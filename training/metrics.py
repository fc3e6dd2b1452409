"""Means over a validation that is divided among processes."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class WeightedMeans:
    """Weighted means of named values over batches and processes.

    Processes may have different numbers of batches, or none: each adds up what it has, and the sums meet once, at the
    end. A mean of the processes' means would count the faces of a small part more.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Take all names that may come: every process must add up the same ones."""
        self._names = list(names)
        self._sums: Tensor | None = None

    def reset(self) -> None:
        """Begin anew."""
        self._sums = None

    def add(
        self, name: str, values: Float[Tensor, " item"], weights: Float[Tensor, " item"] | Bool[Tensor, " item"]
    ) -> None:
        """Add items; those of weight 0 may hold anything."""
        if self._sums is None:
            self._sums = torch.zeros(len(self._names), 2, dtype=torch.float64, device=values.device)
        weights = weights.double()
        kept = torch.where(weights > 0, values.double(), 0.0)
        self._sums[self._names.index(name)] += torch.stack(((kept * weights).sum(), weights.sum()))

    def means(
        self, device: torch.device, reduce: Callable[[Tensor], Tensor] = lambda sums: sums
    ) -> dict[str, Float[Tensor, ""]]:
        """The means of what has any weight.

        Args:
            device: Where the sums are made, should there have been no batch here.
            reduce: Adds up a tensor over all processes.
        """
        sums = self._sums
        if sums is None:
            sums = torch.zeros(len(self._names), 2, dtype=torch.float64, device=device)
        sums = reduce(sums).cpu()
        return {
            name: (total / weight).float()
            for name, (total, weight) in zip(self._names, sums, strict=True)
            if weight > 0
        }
