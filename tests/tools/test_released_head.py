"""The head file that ships keeps every promise of the builder."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from model.face.assets import HeadAssets, load_head
from tests.tools.head import head_checks

ROOT = Path(__file__).parents[2]
HEAD = ROOT / "checkpoints" / "likeness-head" / "head.safetensors"
LANDMARKS = ROOT / "tools" / "head" / "landmarks.npz"

pytestmark = pytest.mark.skipif(not HEAD.is_file(), reason="the released head is not in this checkout")


@cache
def released() -> HeadAssets:
    return load_head(HEAD)


def test_its_size_and_names() -> None:
    assert HEAD.stat().st_size <= 16_000_000
    assert 8_000 <= len(released().vertices_mm) <= 14_000
    assert len(released().identity_basis) >= 80
    assert len(released().albedo_basis) >= 40
    assert len(set(released().expression_names)) == 52


SLOW = {head_checks.check_texture}


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, marks=[pytest.mark.slow] if check in SLOW else []) for check in head_checks.CHECKS],
    ids=lambda check: check.__name__,
)
def test_the_head_is_what_it_must_be(check: Callable[[HeadAssets], None]) -> None:
    check(released())


def test_landmarks_lie_where_they_were_placed() -> None:
    head_checks.check_landmarks(released(), LANDMARKS)
