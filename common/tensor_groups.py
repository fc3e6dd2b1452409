"""Dataclasses of arrays, as a whole: batches, answers, scenes."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

Fields = TypeVar("Fields")


def map_tensors(group: Fields, change: Callable[[Any], Any]) -> Fields:
    """The same dataclass with each of its arrays changed, those in dataclasses within it too.

    Args:
        group: A dataclass whose arrays are tensors or of NumPy; what else it holds, None for instance, stays as it is.
        change: What is done to each array, for example `lambda values: values[:4]`.
    """
    return merge_tensors([group], lambda arrays: change(arrays[0]))


def merge_tensors(groups: Sequence[Fields], merge: Callable[[list[Any]], Any]) -> Fields:
    """One dataclass of several of a kind: each array is made of the same one of all, those in dataclasses within too.

    Args:
        groups: Dataclasses that hold arrays in the same places; what else they hold is the first one's.
        merge: What makes one array of those at one place, for example `torch.cat`.

    Raises:
        ValueError: If there is none.
        TypeError: If the first is no dataclass, or an array of the first is missing in another.
    """
    if not groups:
        raise ValueError("no dataclasses to make one of")
    first = groups[0]
    if not is_dataclass(first) or isinstance(first, type):
        raise TypeError(f"expected a dataclass of arrays, not {type(first).__name__}")
    changed: dict[str, Any] = {}
    for field in fields(first):
        values = [getattr(group, field.name) for group in groups]
        if is_dataclass(values[0]):
            changed[field.name] = merge_tensors(values, merge)
        elif hasattr(values[0], "shape"):
            if not all(hasattr(value, "shape") for value in values):
                raise TypeError(f"{type(first).__name__}.{field.name}: some have an array there and some have none")
            changed[field.name] = merge(values)
    return replace(first, **changed)
