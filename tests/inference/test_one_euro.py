"""The One-Euro filter: still things stay, quick ones are followed, and a finished track does not lag."""

import numpy as np
import pytest

from inference.one_euro import OneEuroConfig, one_euro, smoothed

CONFIG = OneEuroConfig(1.0, 2.0)
TIMES_S = np.arange(120) / 30.0


def delay_s(moved: np.ndarray, true: np.ndarray) -> float:
    """How far a periodic signal lags behind another, by the phase of its first harmonic of four."""
    turn = np.exp(-2j * np.pi * 4 * np.arange(len(true)) / len(true))
    phase = np.angle((true * turn).sum() / (moved * turn).sum())
    return float(phase / (2 * np.pi) * len(true) / 30.0 / 4)


def test_what_is_constant_stays_exactly() -> None:
    values = np.tile([0.25, -3.0], (120, 1))
    assert np.array_equal(one_euro(values, TIMES_S, CONFIG), values)


def test_noise_on_a_still_thing_is_a_fraction() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.01, (2000, 1))
    found = smoothed(noise, np.arange(2000) / 30.0, CONFIG)
    assert found[50:-50].std() < 0.3 * noise.std()


def test_a_jump_is_followed_within_a_few_frames() -> None:
    jump = np.where(TIMES_S < 2.0, 0.0, 1.0)[:, None]
    still = OneEuroConfig(1.0, 0.0)
    after = int(2.0 * 30) + 3
    assert one_euro(jump, TIMES_S, OneEuroConfig(1.0, 10.0))[after, 0] > 0.9
    assert one_euro(jump, TIMES_S, still)[after, 0] < 0.6


def test_both_ways_lag_by_nothing_and_one_way_by_what_is_stated() -> None:
    slow = OneEuroConfig(2.0, 0.0)
    wave = np.sin(2 * np.pi * 4 * np.arange(1200) / 1200)[:, None]
    times_s = np.arange(1200) / 30.0
    forwards = one_euro(np.concatenate([wave] * 2), np.arange(2400) / 30.0, slow)[1200:]
    assert delay_s(forwards[:, 0], wave[:, 0]) == pytest.approx(slow.lag_s, rel=0.3)
    assert abs(delay_s(smoothed(wave, times_s, slow)[:, 0], wave[:, 0])) < 0.004


def test_the_rate_of_the_frames_does_not_matter() -> None:
    def ramp(rate: float) -> float:
        times_s = np.arange(int(2 * rate) + 1) / rate
        return float(one_euro(np.clip(times_s, 0.0, 1.0)[:, None], times_s, CONFIG)[-1, 0])

    assert ramp(30.0) == pytest.approx(ramp(120.0), abs=0.02)
