import numpy as np

from model.person.classes import BACKGROUND, HAIR, SKIN
from model.person.mask import PersonMask


def half_hair(size: int = 40) -> PersonMask:
    """Hair above, skin below, nothing on the right quarter; the window is the photograph at half its scale, shifted."""
    kind = np.where(np.arange(size)[:, None] < size // 2, HAIR, SKIN) * np.ones((1, size), int)
    kind[:, 3 * size // 4 :] = BACKGROUND
    share = np.stack([kind == number for number in range(4)], axis=-1).astype(np.float32)
    known = np.ones((size, size), np.float32)
    known[:, :2] = 0.0
    return PersonMask(share, known, np.array([[0.5, 0.0, -10.0], [0.0, 0.5, -5.0]]))


def test_places_of_the_photograph_are_found_in_the_window() -> None:
    mask = half_hair()
    # Window (10, 10), (10, 30), (35, 10) are photograph (40, 30), (40, 70), (90, 30); the last place is far outside.
    places_px = np.array([[[40.0, 30.0], [40.0, 70.0]], [[90.0, 30.0], [900.0, 900.0]]])
    kinds = mask.at(places_px).argmax(-1)
    np.testing.assert_array_equal(kinds, [[HAIR, SKIN], [BACKGROUND, BACKGROUND]])
    np.testing.assert_array_equal(mask.known_at(places_px), [[1.0, 1.0], [1.0, 0.0]])


def test_the_picture_of_a_class_agrees_with_its_places() -> None:
    mask = half_hair()
    hair = mask.in_photograph(HAIR, 120, 150)
    assert hair.shape == (120, 150)
    places_px = np.stack(np.meshgrid(np.arange(150) + 0.5, np.arange(120) + 0.5), axis=-1)
    np.testing.assert_allclose(hair, mask.at(places_px)[..., HAIR], atol=0.02)


def test_a_class_grows_into_the_background_but_not_over_skin() -> None:
    grown = half_hair().reaching(HAIR, radius_px=3)
    assert grown.share[5, 31, HAIR] == 1.0
    assert grown.share[5, 34, HAIR] == 0.0
    assert grown.share[21, 10, HAIR] == 0.0
    np.testing.assert_allclose(grown.share.sum(-1), 1.0)
