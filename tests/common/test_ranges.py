import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from common.ranges import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, SHARE, Range, checked


@dataclass(frozen=True)
@checked("mine.", {AT_LEAST_ONE: ("count",), Range(0, 1, below=True): ("weights",)})
class Settings:
    count: int = 1
    weights: tuple[float, ...] = (0.0, 0.5)
    rate: float | None = None
    kind: Literal["round", "square"] = "round"
    loud: bool = False

    def __post_init__(self) -> None:
        if self.loud and self.kind == "square":
            raise ValueError("a square is quiet")


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (NOT_NEGATIVE, (0.0, 1e9), (-1e-9, math.inf, math.nan), "a finite number, 0 or more"),
        (POSITIVE, (1e-9,), (0.0, -1.0, math.inf, math.nan), "a finite number above 0"),
        (SHARE, (0, 0.5, 1), (-0.1, 1.1, math.nan), "0 to 1"),
        (Range(0, 1, above=True), (0.1, 1.0), (0.0, 1.1), "above 0 and at most 1"),
        (Range(0, 1, below=True), (0.0, 0.9), (1.0,), "0 or more and below 1"),
    ],
)
def test_a_range_holds_its_numbers_and_says_which(
    allowed: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert all(number in allowed for number in inside)
    assert not any(number in allowed for number in outside)
    assert str(allowed) == words


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"count": 0}, "mine.count is 0: expected a finite number, 1 or more"),
        ({"weights": (0.0, 1.0)}, "mine.weights is (0.0, 1.0): expected 0 or more and below 1"),
        ({"rate": -1.0}, "mine.rate is -1.0: expected a finite number, 0 or more"),
        ({"kind": "oval"}, "mine.kind is 'oval': expected round, square"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name_and_value(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Settings(**wrong)


def test_what_can_be_is_taken() -> None:
    Settings(count=3, weights=(0.0,), rate=0.5, kind="round", loud=True)


def test_a_class_may_refuse_more() -> None:
    with pytest.raises(ValueError, match="a square is quiet"):
        Settings(kind="square", loud=True)
    # Its own question may take for granted that each number is one.
    with pytest.raises(ValueError, match=r"mine\.count"):
        Settings(count=0, kind="square", loud=True)


def test_a_range_for_no_setting_is_a_mistake_of_ours() -> None:
    @dataclass(frozen=True)
    @checked(ranges={SHARE: ("colour",)})
    class Plain:
        size: int = 1

    with pytest.raises(TypeError, match="Plain has no setting colour"):
        Plain()
