import cv2
import numpy as np
import pytest
import skimage.data
import torch

from inference.person_masks import PersonMasker
from model.person.classes import BACKGROUND, HAIR, SKIN
from model.person.mask import PersonMask

ASTRONAUT = skimage.data.astronaut()
# Corners of the box of her 68 landmarks, roughly; only these matter for the window.
POINTS_PX = np.array([[178.0, 72.0], [268.0, 185.0]] * 34)


@pytest.fixture(scope="module")
def masker() -> PersonMasker:
    return PersonMasker.load(torch.device("cpu"))


@pytest.fixture(scope="module")
def mask(masker: PersonMasker) -> PersonMask:
    return masker.mask(ASTRONAUT, POINTS_PX)


def test_the_astronaut_is_told_apart(mask: PersonMask) -> None:
    places = {HAIR: [(225, 22), (175, 60), (270, 60)], SKIN: [(222, 130), (195, 140), (222, 90)]}
    places[BACKGROUND] = [(120, 60), (330, 120)]
    for kind, points in places.items():
        np.testing.assert_array_equal(mask.at(np.array(points, float)).argmax(-1), kind)


def test_shares_are_shares_and_the_border_of_the_photograph_is_known(mask: PersonMask) -> None:
    np.testing.assert_allclose(mask.share.sum(-1), 1.0, atol=1e-4)
    assert mask.share.min() >= 0.0
    assert mask.known_at(np.array([[10.0, -5.0], [222.0, 100.0]])).tolist() == [0.0, 1.0]


def test_a_photograph_of_another_size_gives_the_same_mask(masker: PersonMasker, mask: PersonMask) -> None:
    larger = cv2.resize(ASTRONAUT, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    same = masker.mask(larger, 2.0 * POINTS_PX)
    assert (same.share.argmax(-1) == mask.share.argmax(-1)).mean() > 0.97


@pytest.mark.parametrize("quarters", [1, 2])
def test_a_head_that_lies_is_turned_upright_first(masker: PersonMasker, mask: PersonMask, quarters: int) -> None:
    # A quarter counter-clockwise takes (x, y) to (y, width - x).
    turned, points = np.rot90(ASTRONAUT, quarters).copy(), POINTS_PX
    for _ in range(quarters):
        points = np.stack((points[:, 1], ASTRONAUT.shape[1] - points[:, 0]), axis=1)
    there = masker.mask(turned, points, 90.0 * quarters)
    rows, columns = np.mgrid[40:300:20, 120:330:20]
    places = np.stack((columns.ravel(), rows.ravel()), axis=1) + 0.5
    seen = places
    for _ in range(quarters):
        seen = np.stack((seen[:, 1], ASTRONAUT.shape[1] - seen[:, 0]), axis=1)
    agreed = there.at(seen).argmax(-1) == mask.at(places).argmax(-1)
    assert agreed.mean() > 0.95
    np.testing.assert_array_equal(there.known_at(seen), mask.known_at(places))
