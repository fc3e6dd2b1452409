"""The One-Euro filter (Casiez, Roussel and Vogel, "1 Euro filter", CHI 2012), and a track filtered without delay.

A low-pass filter whose cutoff grows with the speed of what it filters: what stands still is smoothed much, what moves
quickly hardly at all. Run forwards only, as a live picture needs it, it lags behind by `lag_s` at most. A video is
there as a whole, so it runs backwards as well, and the mean of both lags by nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class OneEuroConfig:
    """How much is smoothed.

    Attributes:
        least_cutoff_hz: Cutoff of what stands still.
        cutoff_per_speed: How much it grows with the speed, Hz over units a second ("beta").
        speed_cutoff_hz: Cutoff of the filter of the speed itself.
    """

    least_cutoff_hz: float
    cutoff_per_speed: float
    speed_cutoff_hz: float = 2.0

    @property
    def lag_s(self) -> float:
        """How far a run forwards lags behind slow changes, at most: the time constant of the least cutoff."""
        return 1.0 / (2.0 * math.pi * self.least_cutoff_hz)


def one_euro(
    values: Float[np.ndarray, "frame channel"],
    times_s: Float[np.ndarray, " frame"],
    config: OneEuroConfig,
    *,
    together: bool = False,
) -> Float[np.ndarray, "frame channel"]:
    """Filter forwards in time, at any frame rate.

    Args:
        values: What is filtered.
        times_s: When; strictly growing.
        config: How much.
        together: Whether the channels are one thing, such as a quaternion, whose speed is that of all; else each goes
            by its own.
    """
    smooth = np.array(values, np.float64)
    speed = np.zeros(values.shape[1])
    for index in range(1, len(values)):
        step_s = float(times_s[index] - times_s[index - 1])
        now = (values[index] - smooth[index - 1]) / step_s
        speed = speed + _share(config.speed_cutoff_hz, step_s) * (now - speed)
        size = np.full_like(speed, np.linalg.norm(speed)) if together else np.abs(speed)
        cutoff_hz = config.least_cutoff_hz + config.cutoff_per_speed * size
        smooth[index] = smooth[index - 1] + _share(cutoff_hz, step_s) * (values[index] - smooth[index - 1])
    return smooth


def smoothed(
    values: Float[np.ndarray, "frame channel"],
    times_s: Float[np.ndarray, " frame"],
    config: OneEuroConfig,
    *,
    together: bool = False,
) -> Float[np.ndarray, "frame channel"]:
    """The mean of the filter forwards and backwards, which does not lag; arguments as of `one_euro`."""
    back = one_euro(values[::-1], times_s[-1] - times_s[::-1], config, together=together)[::-1]
    return 0.5 * (one_euro(values, times_s, config, together=together) + back)


def _share(cutoff_hz: float | Float[np.ndarray, " channel"], step_s: float) -> float | Float[np.ndarray, " channel"]:
    """How far a filter of a cutoff moves towards a new value."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * step_s))
