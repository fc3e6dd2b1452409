"""Adam with a falling rate that writes down every term."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

History = dict[str, list[float]]
"""Values of every term in every step, by `stage.term`."""

_BETAS = (0.9, 0.99)
_LAST_RATE = 0.1


def descend(
    terms: Callable[[], dict[str, Tensor]],
    rates: Sequence[tuple[Tensor, float]],
    steps: int,
    history: History,
    name: str,
    project: Callable[[], None] | None = None,
) -> None:
    """Minimise the sum of terms; each rate falls to a tenth, exponentially.

    Args:
        terms: Evaluates them, already weighted.
        rates: The tensors that move, and their first rates; those with rate 0 are left alone.
        steps: How many.
        history: Gets the values under `name.term`.
        name: Of this descent.
        project: Called after each step, without gradients, to put back what left its range.
    """
    groups = [{"params": [tensor], "lr": rate, "first": rate} for tensor, rate in rates if rate > 0.0]
    if not groups or steps == 0:
        return
    optimizer = torch.optim.Adam(groups, betas=_BETAS)
    kept: list[tuple[str, list[Tensor]]] = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["first"] * _LAST_RATE ** (step / steps)
        optimizer.zero_grad()
        values = terms()
        torch.stack(list(values.values())).sum().backward()
        optimizer.step()
        if project is not None:
            with torch.no_grad():
                project()
        if not kept:
            kept = [(f"{name}.{term}", []) for term in values]
        for (_, line), value in zip(kept, values.values(), strict=True):
            line.append(value.detach())
    for term, line in kept:
        # Read once in the end: a device is not waited for in every step.
        history.setdefault(term, []).extend(torch.stack(line).tolist())
