"""Some samples of a batch that has become dataclasses of tensors."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

Batch = TypeVar("Batch")


def first_samples(batch: Batch, count: int) -> Batch:
    """The first samples of a batch: of every tensor, and of those in dataclasses within."""
    return _sliced(batch, slice(None, count))


def last_samples(batch: Batch, start: int) -> Batch:
    """The samples of a batch from a number on."""
    return _sliced(batch, slice(start, None))


def _sliced(batch: Any, part: slice) -> Any:
    if isinstance(batch, Tensor):
        return batch[part]
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{field.name: _sliced(getattr(batch, field.name), part) for field in fields(batch)})
    return batch
