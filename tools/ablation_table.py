"""The table of `tools.ablate`, as Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np

COLUMNS = {
    "nme_percent": ("NME %", 3),
    "psnr_db": ("PSNR dB", 2),
    "residual": ("residual", 4),
    "auc": ("AUC", 3),
}
"""Number of a run: title and digits."""


def format_table(rows: Mapping[str, Sequence[Mapping[str, float | None]]], base: str) -> str:
    """Mean and standard deviation over the seeds, and in brackets the mean difference from the base, seed by seed.

    Args:
        rows: For each line the numbers of its seeds, in the order of the seeds.
        base: The line that the others are compared with.
    """
    titles = [title for title, _ in COLUMNS.values()]
    lines = [f"| losses | {' | '.join(titles)} | seeds |", f"|---|{'---:|' * (len(titles) + 1)}"]
    for name, runs in rows.items():
        cells = [_cell(runs, None if name == base else rows[base], column) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(runs)} |")
    return "\n".join(lines)


def _cell(
    runs: Sequence[Mapping[str, float | None]], base: Sequence[Mapping[str, float | None]] | None, column: str
) -> str:
    digits = COLUMNS[column][1]
    values = [run[column] for run in runs]
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values) or len(known) == 0:
        return "-"
    text = f"{known.mean():.{digits}f}"
    if len(known) > 1:
        text += f" ± {known.std(ddof=1):.{digits}f}"
    if base is not None:
        others = np.array([run[column] for run in base[: len(known)]], dtype=np.float64)
        text += f" ({(known - others).mean():+.{digits}f})"
    return text
