"""Between a colour in a photograph and the colour itself."""

import numpy as np
import pytest

from model.look.light import in_light, without_light


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (0.6, 0.5, 0.4), (1.3, 1.1, 0.9)])
def test_taking_light_out_and_putting_it_back_changes_nothing(light: tuple[float, float, float]) -> None:
    shown = np.random.default_rng(0).uniform(0.1, 0.6, (50, 3)).astype(np.float32)
    arriving = np.float32(light)
    np.testing.assert_allclose(in_light(without_light(shown, arriving), arriving), shown, atol=2e-3)


def test_in_weak_light_the_albedo_is_brighter_than_the_picture_and_no_brighter_than_can_be() -> None:
    shown = np.float32([0.5, 0.5, 0.5])
    assert (without_light(shown, np.float32([0.5, 0.5, 0.5])) > shown).all()
    assert without_light(np.float32([1.0, 1.0, 1.0]), np.float32([0.1, 0.1, 0.1])).max() < 0.95
