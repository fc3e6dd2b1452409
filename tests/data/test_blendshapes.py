import numpy as np
import pytest

from data.blendshapes import BLENDSHAPE_MIRROR, BLENDSHAPE_NAMES, BLENDSHAPES, calibrated
from tests.small_world import ARKIT_NAMES


def test_they_are_arkits_52_in_alphabetical_order() -> None:
    assert len(BLENDSHAPE_NAMES) == len(set(BLENDSHAPE_NAMES)) == BLENDSHAPES == 52
    assert list(BLENDSHAPE_NAMES) == sorted(BLENDSHAPE_NAMES)
    assert set(BLENDSHAPE_NAMES) == set(ARKIT_NAMES)


def test_the_mirror_swaps_the_sides_and_twice_is_nothing() -> None:
    np.testing.assert_array_equal(BLENDSHAPE_MIRROR[BLENDSHAPE_MIRROR], np.arange(52))
    for name, partner in zip(BLENDSHAPE_NAMES, BLENDSHAPE_MIRROR, strict=True):
        swapped = name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
        assert BLENDSHAPE_NAMES[partner] == swapped
    assert BLENDSHAPE_NAMES[BLENDSHAPE_MIRROR[BLENDSHAPE_NAMES.index("jawLeft")]] == "jawRight"
    assert BLENDSHAPE_NAMES[BLENDSHAPE_MIRROR[BLENDSHAPE_NAMES.index("jawOpen")]] == "jawOpen"


def rest() -> np.ndarray:
    """What MediaPipe reads off a face at rest."""
    stems = {"eyeSquint": 0.25, "browOuterUp": 0.10, "eyeBlink": 0.07}
    values = [next((v for stem, v in stems.items() if name.startswith(stem)), 0.0) for name in BLENDSHAPE_NAMES]
    return np.array(values, np.float32)


def test_a_face_at_rest_is_zero_and_a_full_reading_is_one() -> None:
    assert np.abs(calibrated(rest())).max() < 1e-6
    looks = np.array([name.startswith("eyeLook") for name in BLENDSHAPE_NAMES])
    np.testing.assert_allclose(calibrated(np.ones(52, np.float32))[~looks], 1.0, atol=1e-6)
    # Below what a face at rest has there is nothing less than nothing.
    np.testing.assert_array_equal(calibrated(np.zeros(52, np.float32)), np.zeros(52))


def test_a_larger_reading_is_a_larger_weight() -> None:
    readings = np.linspace(0.0, 1.0, 41, dtype=np.float32)[:, None].repeat(52, axis=1)
    weights = calibrated(readings)
    assert weights.dtype == np.float32
    assert weights.min() >= 0.0
    assert weights.max() <= 1.0
    looks = np.array([name.startswith("eyeLook") for name in BLENDSHAPE_NAMES])
    steps = np.diff(weights, axis=0)[:, ~looks]
    assert (steps >= 0.0).all()
    assert (steps[((readings[1:] > rest() + 0.025) & (weights[:-1] < 1.0))[:, ~looks]] > 0.0).all()


def test_each_eye_looks_one_way() -> None:
    readings = np.zeros(52, np.float32)
    places = {name: index for index, name in enumerate(BLENDSHAPE_NAMES)}
    given = {"eyeLookInLeft": 0.6, "eyeLookOutLeft": 0.2, "eyeLookUpRight": 0.1, "eyeLookDownRight": 0.3}
    for name, value in given.items():
        readings[places[name]] = value
    weights = calibrated(readings)
    wanted = {"eyeLookInLeft": 0.4, "eyeLookOutLeft": 0.0, "eyeLookUpRight": 0.0, "eyeLookDownRight": 0.2}
    for name, value in wanted.items():
        assert weights[places[name]] == pytest.approx(value, abs=1e-6), name
    np.testing.assert_allclose(calibrated(weights)[places["eyeLookInLeft"]], 0.4, atol=1e-6)


def test_a_shut_eye_is_shut() -> None:
    readings = np.full(52, 0.6, np.float32)
    blink = [name.startswith("eyeBlink") for name in BLENDSHAPE_NAMES]
    np.testing.assert_allclose(calibrated(readings)[blink], 1.0, atol=1e-6)
    assert calibrated(readings)[~np.array(blink)].max() < 0.61


@pytest.mark.parametrize("shape", [(52,), (3, 52), (2, 3, 52)])
def test_both_sides_are_calibrated_alike(shape: tuple[int, ...]) -> None:
    readings = np.random.default_rng(0).random(shape)
    mirrored = calibrated(readings[..., BLENDSHAPE_MIRROR])
    np.testing.assert_array_equal(mirrored, calibrated(readings)[..., BLENDSHAPE_MIRROR])
