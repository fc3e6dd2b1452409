"""What `evaluate.py scans` prints."""

from collections.abc import Callable, Sequence
from dataclasses import astuple

import numpy as np
from jaxtyping import Float

from evaluation.scans import PictureErrors, ScanErrors, Yardstick

_NAME_WIDTH = 28
_DISTANCES = (
    ("neutral (NoW)", "neutral"),
    ("neutral, no scale", "neutral_metrical"),
    ("posed", "posed"),
    ("posed, no scale", "posed_metrical"),
)
"""What a group of columns is called, and which field of `ScanErrors` stands there."""

_NOTES = """\
In mm of the scan. From scan to mesh: laid on by seven landmarks, then by the surface, with a free scale or without.
Neutral: the identity alone. Posed: as written, with expression and offsets. Profile: mean distance from the true
curve to that of the posed head, laid on with a free scale, and how much further nose, lips and chin stand out there
than they should; magnitudes: the mean without signs."""


def format_scans(results: Sequence[PictureErrors], yardsticks: Sequence[Yardstick]) -> str:
    """The two tables as text.

    Args:
        results: Of all pictures.
        yardsticks: Of all heads.
    """
    pictures = {result.name: result.errors for result in results if result.errors is not None}
    groups = {
        f"mean of {len(pictures)} pictures": pictures,
        "mean head, mean": {f"mean head on {yardstick.head}": yardstick.mean_head for yardstick in yardsticks},
        "best fit, mean": {f"best fit to {y.head}": y.best_fit for y in yardsticks if y.best_fit is not None},
    }
    lines = [
        f"{'scan to mesh':<{_NAME_WIDTH}}" + "".join(f"{title:>22}" for title, _ in _DISTANCES),
        " " * _NAME_WIDTH + f"{'median':>10}{'mean':>6}{'sd':>6}" * len(_DISTANCES),
    ]
    for title, rows in groups.items():
        lines += _rows(title, rows, _distances, "{:10.2f}{:6.2f}{:6.2f}" * len(_DISTANCES))
    heads = ("distance", "nose tip", "upper lip", "lower lip", "chin")
    lines += ["", f"{'profile':<{_NAME_WIDTH}}" + "".join(f"{head:>11}" for head in heads)]
    for title, rows in groups.items():
        lines += _rows(title, rows, _profile, "{:11.2f}" + "{:+11.2f}" * 4)
        lines += _rows("magnitudes", rows, _magnitudes, "{:11.2f}" * 5)[-1:]
    missed = [result.name for result in results if result.errors is None]
    lines += ["", f"missed {len(missed)} of {len(results)} pictures" + (f": {', '.join(missed)}" if missed else "")]
    if any(yardstick.best_fit is None for yardstick in yardsticks):
        lines.append("The head files' best fits are of another head model than the checkpoint's, and left out.")
    return "\n".join([*lines, _NOTES])


def _rows(
    title: str,
    rows: dict[str, ScanErrors],
    numbers: Callable[[ScanErrors], Float[np.ndarray, " column"]],
    pattern: str,
) -> list[str]:
    """A line for each row and one for their mean."""
    values = {name: numbers(errors) for name, errors in rows.items()}
    if values:
        # A feature that a profile does not have has no say in the mean.
        known = [column[np.isfinite(column)] for column in np.stack(list(values.values())).T]
        values[title] = np.array([column.mean() if len(column) else np.nan for column in known])
    return [f"{name:<{_NAME_WIDTH}}" + pattern.format(*row) for name, row in values.items()]


def _distances(errors: ScanErrors) -> Float[np.ndarray, " column"]:
    return np.concatenate([astuple(getattr(errors, field)) for _, field in _DISTANCES])


def _profile(errors: ScanErrors) -> Float[np.ndarray, " column"]:
    return np.array([errors.profile_mm, *astuple(errors.depths)])


def _magnitudes(errors: ScanErrors) -> Float[np.ndarray, " column"]:
    return np.abs(_profile(errors))
