"""Teeth on a lip and lashes on a lid are told from the skin that they lie on."""

import numpy as np
import pytest

from model.look.foreign import foreign_colors, pale_beside

LIP, IVORY, DARK = np.float32([0.63, 0.31, 0.31]), np.float32([0.84, 0.80, 0.71]), np.float32([0.12, 0.06, 0.06])


@pytest.mark.parametrize("light", [0.3, 1.0])
def test_pale_and_dark_vertices_of_a_region_are_found_in_any_light(light: float) -> None:
    colors = np.tile(LIP, (100, 1))
    colors[:10], colors[10:25] = IVORY, DARK
    region = np.arange(100) < 80
    found = foreign_colors(light * colors, region, np.arange(100) > 5)
    np.testing.assert_array_equal(np.flatnonzero(found.pale), np.arange(10))
    np.testing.assert_array_equal(np.flatnonzero(found.dark), np.arange(10, 25))
    np.testing.assert_array_equal(found.dim, found.dark)
    colors[30:40] = 0.7 * LIP
    found = foreign_colors(light * colors, region, np.arange(100) > 5)
    np.testing.assert_array_equal(np.flatnonzero(found.dim & ~found.dark), np.arange(30, 40))


def test_a_dark_skin_is_not_foreign_to_itself_and_few_vertices_tell_nothing() -> None:
    colors = np.tile(np.float32([0.25, 0.16, 0.12]), (100, 1))
    everywhere = np.ones(100, bool)
    found = foreign_colors(colors, everywhere, everywhere)
    assert not (found.pale | found.dim).any()
    colors[:50] = IVORY
    found = foreign_colors(colors, everywhere, np.arange(100) < 10)
    assert not (found.pale | found.dim).any()


def test_a_paler_colour_must_be_brighter_too() -> None:
    colors = np.stack((IVORY, np.float32([0.3, 0.3, 0.3]), np.float32([0.95, 0.45, 0.45])))
    np.testing.assert_array_equal(pale_beside(colors, LIP), [True, False, False])
