"""A rebuilt head takes over the albedo of the file that it replaces, if its skin is the same."""

from dataclasses import replace

import numpy as np
import pytest

from model.face.assets import HeadAssets
from tests.small_world import toy_head
from tools.head.succession import succeeding


def head(moved_mm: float = 0.0, skin_moved_mm: float = 0.0) -> HeadAssets:
    """The toy head with parts of its own regions, and inner ones that may lie elsewhere."""
    toy = toy_head()
    count = len(toy.vertices_mm)
    names = ("skin", "eye_sockets", "left_eye", "right_eye", "mouth_inner", "teeth", "tongue")
    owner = np.minimum(np.arange(count) // 20, len(names) - 1)[::-1]
    regions = {name: owner == number for number, name in enumerate(names)}
    vertices = toy.vertices_mm.copy()
    vertices[regions["teeth"]] += np.float32([0.0, moved_mm, 0.0])
    vertices[regions["skin"]] += np.float32([0.0, skin_moved_mm, 0.0])
    return replace(toy, vertices_mm=vertices, regions=regions, identity_center=np.zeros(6, np.float32))


def test_albedo_and_name_are_taken_over() -> None:
    shades = np.random.default_rng(0).random(toy_head().albedo_mean.shape).astype(np.float32)
    earlier = replace(head(), albedo_mean=shades, succeeds=("a" * 64,))
    rebuilt = replace(head(moved_mm=0.01), albedo_mean=np.zeros_like(shades))
    taken = succeeding(rebuilt, earlier, "b" * 64)
    assert taken.succeeds == ("b" * 64, "a" * 64)
    np.testing.assert_array_equal(taken.albedo_mean, shades)
    np.testing.assert_array_equal(taken.albedo_basis, earlier.albedo_basis)
    np.testing.assert_array_equal(taken.vertices_mm, rebuilt.vertices_mm)


def test_another_skin_is_refused() -> None:
    with pytest.raises(ValueError, match="region skin"):
        succeeding(head(skin_moved_mm=0.5), head(), "b" * 64)
    bent = replace(head(), identity_basis=head().identity_basis + np.float32(0.5))
    with pytest.raises(ValueError, match="identity_basis"):
        succeeding(bent, head(), "b" * 64)
