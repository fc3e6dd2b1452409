"""Which values a setting may have: said once beside the settings, refused with a line that names the option."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds.

    Attributes:
        least: Smallest allowed.
        most: Largest allowed.
        above: Whether `least` itself is refused.
        below: Whether `most` itself is refused.
    """

    least: float | int = 0
    most: float | int = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: float | int) -> bool:
        # What is no number compares as false with everything, and is refused.
        over = number > self.least if self.above else number >= self.least
        under = number < self.most if self.below else number <= self.most
        return over and under and math.isfinite(number)

    def __str__(self) -> str:
        if self.least == -math.inf and self.most == math.inf:
            return "a finite number"
        low = f"above {self.least:g}" if self.above else f"{self.least:g} or more"
        if self.most == math.inf:
            return f"a finite number {low}" if self.above else f"a finite number, {low}"
        if self.above or self.below:
            return f"{low} and {'below' if self.below else 'at most'} {self.most:g}"
        return f"{self.least:g} to {self.most:g}"


NOT_NEGATIVE = Range()
POSITIVE = Range(above=True)
AT_LEAST_ONE = Range(1)
SHARE = Range(0, 1)
"""A probability, or a weight relative to another."""


def checked(prefix: str = "", ranges: Mapping[Range, tuple[str, ...]] | None = None) -> Callable[[type[T]], type[T]]:
    """Let a config refuse settings with impossible values when it is made; to be written below `@dataclass`.

    Every number is checked, also those in sequences: it must not be negative where `ranges` says nothing else of it.
    Settings of a few words (`Literal`) must be one of these. What a class checks in a `__post_init__` of its own comes
    after that. A wrong value is a `ValueError` that names the setting, its value and what is expected.

    Args:
        prefix: What stands before the settings' names where the user writes them, such as `raster.` or `--`.
        ranges: Other ranges, and the settings that have them; a name that is no setting is a `TypeError`.
    """
    named = {name: allowed for allowed, names in (ranges or {}).items() for name in names}

    def decorate(config: type[T]) -> type[T]:
        own = getattr(config, "__post_init__", None)

        def check(self: T) -> None:
            _check_settings(self, prefix, named)
            if own is not None:
                own(self)

        config.__post_init__ = check  # pyright: ignore[reportAttributeAccessIssue]
        return config

    return decorate


def _check_settings(config: Any, prefix: str, named: Mapping[str, Range]) -> None:
    if unknown := named.keys() - {field.name for field in fields(config)}:
        raise TypeError(f"{type(config).__name__} has no setting {', '.join(sorted(unknown))}")
    hints = get_type_hints(type(config))
    for field in fields(config):
        value, expected = getattr(config, field.name), named.get(field.name, NOT_NEGATIVE)
        if get_origin(hints[field.name]) is Literal:
            words = get_args(hints[field.name])
            if value not in words:
                raise ValueError(f"{prefix}{field.name} is {value!r}: expected {', '.join(words)}")
            continue
        for number in value if isinstance(value, tuple | list) else (value,):
            # A truth value is an int to Python.
            if isinstance(number, int | float) and not isinstance(number, bool) and number not in expected:
                raise ValueError(f"{prefix}{field.name} is {value}: expected {expected}")
