from dataclasses import dataclass

import numpy as np
import pytest
import torch

from common.tensor_groups import map_tensors, merge_tensors


@dataclass(frozen=True)
class Inner:
    points: torch.Tensor
    table: np.ndarray


@dataclass(frozen=True)
class Outer:
    values: torch.Tensor
    inner: Inner
    absent: Inner | torch.Tensor | None = None
    name: str = "head"


def group(start: float, absent: Inner | torch.Tensor | None = None) -> Outer:
    numbers = start + torch.arange(6.0)
    return Outer(numbers, Inner(numbers.view(6, 1), numbers.numpy() * 2.0), absent)


def test_every_array_is_changed_and_nothing_else() -> None:
    before = group(0.0)
    after = map_tensors(before, lambda values: values[1:3])
    assert after.values.tolist() == [1.0, 2.0]
    assert after.inner.points.tolist() == [[1.0], [2.0]]
    assert after.inner.table.tolist() == [2.0, 4.0]
    assert (after.absent, after.name) == (None, "head")
    assert len(before.values) == 6


def test_gradients_pass_and_reach_only_what_was_taken() -> None:
    values = torch.ones(4, requires_grad=True)
    taken = map_tensors(Outer(values, Inner(values, np.zeros(4))), lambda array: array[3:])
    (taken.values.sum() + 2.0 * taken.inner.points.sum()).backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 0.0, 0.0, 3.0]


def test_several_become_one_place_by_place() -> None:
    absent = torch.ones(1)
    both = merge_tensors([group(0.0, absent), group(10.0, absent)], lambda arrays: sum(array.sum() for array in arrays))
    assert both.values == 15.0 + 75.0
    assert both.inner.table == 30.0 + 150.0
    assert both.absent == 2.0
    assert both.name == "head"


def test_what_cannot_be_merged_is_refused() -> None:
    with pytest.raises(ValueError, match="no dataclasses"):
        merge_tensors([], torch.cat)
    with pytest.raises(TypeError, match="Outer.absent: some have an array"):
        merge_tensors([group(0.0, torch.ones(1)), group(0.0)], lambda arrays: arrays[0])
    with pytest.raises(TypeError, match="not Tensor"):
        map_tensors(torch.ones(2), torch.neg)
    with pytest.raises(TypeError, match="not type"):
        map_tensors(Outer, torch.neg)
