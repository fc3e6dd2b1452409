"""What `evaluate.py inverse-rendering` prints."""

from collections.abc import Callable, Sequence

import numpy as np

from evaluation.inverse_rendering.benchmark import COMPONENTS, START, FitResult

TONES: tuple[tuple[str, float, float], ...] = (
    ("dark (mean albedo below 0.15)", 0.0, 0.15),
    ("middle (0.15 to 0.3)", 0.15, 0.3),
    ("light (0.3 and above)", 0.3, 1.0),
)

_COLUMNS: tuple[tuple[str, Callable[[FitResult], float], str], ...] = (
    ("PSNR dB", lambda result: result.figures.psnr_db, ".1f"),
    ("albedo", lambda result: result.figures.albedo_error, ".4f"),
    ("scaled", lambda result: result.figures.albedo_error_scaled, ".4f"),
    ("tone %", lambda result: 100.0 * result.figures.tone_error, "+.1f"),
    ("imprint", lambda result: result.figures.shadow_imprint, ".2f"),
    ("seconds", lambda result: result.seconds, ".1f"),
)


def format_result(result: FitResult) -> str:
    """One line about one answer, while the benchmark runs."""
    cells = "".join(f"{format(value(result), form):>10}" for _, value, form in _COLUMNS)
    return f"{result.face.name:<24}{result.method:<28}{cells}{'' if result.accepted else '  kept its start'}"


def format_header() -> str:
    """The line above those of `format_result`."""
    return f"{'face':<24}{'answer':<28}" + "".join(f"{name:>10}" for name, _, _ in _COLUMNS)


def format_inverse_rendering(results: Sequence[FitResult], reference: str, ablated: str) -> str:
    """Mean and spread over the faces, the gains that count, and albedo errors by tone.

    Args:
        results: All answers.
        reference: The fit that the gains are stated for.
        ablated: The same fit without visibility.
    """
    methods = list(dict.fromkeys(result.method for result in results))
    lines = ["mean over the faces ± standard deviation; imprint over faces in hard light only", ""]
    lines.append(f"{'answer':<28}" + "".join(f"{name:>18}" for name, _, _ in _COLUMNS))
    for method in methods:
        own = [result for result in results if result.method == method]
        cells = [_spread(own, value, form, name == "imprint") for name, value, form in _COLUMNS]
        kept = sum(not result.accepted for result in own)
        lines.append(f"{method:<28}" + "".join(f"{cell:>18}" for cell in cells) + (f"  {kept} kept" if kept else ""))
    if reference in methods:
        lines += ["", *_gains(results, reference, ablated)]
    lines += ["", f"{'albedo error (scaled) by skin':<40}" + "".join(f"{method[:22]:>24}" for method in methods)]
    for name, least, largest in TONES:
        group = [result for result in results if least <= result.face.plan.tone < largest]
        if not group:
            continue
        cells = [[result.figures for result in group if result.method == method] for method in methods]
        texts = [
            f"{np.mean([one.albedo_error for one in cell]):.4f} "
            f"({np.mean([one.albedo_error_scaled for one in cell]):.4f})"
            for cell in cells
        ]
        lines.append(f"{name:<40}" + "".join(f"{text:>24}" for text in texts))
    return "\n".join(lines)


def _gains(results: Sequence[FitResult], reference: str, ablated: str) -> list[str]:
    """How far the reference's errors lie under those of its start and of the fit without visibility."""
    lines = []
    for other in (START, COMPONENTS, ablated):
        pairs = _pairs(results, reference, other)
        if not pairs:
            continue
        for name, error in (
            ("albedo error", lambda result: result.figures.albedo_error),
            ("scaled albedo error", lambda result: result.figures.albedo_error_scaled),
        ):
            gains = np.array([100.0 * (1.0 - error(own) / error(old)) for own, old in pairs])
            total = 100.0 * (
                1.0 - np.mean([error(own) for own, _ in pairs]) / np.mean([error(old) for _, old in pairs])
            )
            lines.append(
                f"{name} of {reference!r} under that of {other!r}: {total:.1f} % of the means; per face "
                f"{gains.mean():.1f} ± {gains.std():.1f} %, better on {int((gains > 0).sum())} of {len(gains)}"
            )
    hard = [pair for pair in _pairs(results, reference, ablated) if pair[0].face.plan.lamps > 0]
    if hard:
        own, old = (np.nanmean([pair[side].figures.shadow_imprint for pair in hard]) for side in (0, 1))
        lines.append(
            f"shadow imprint in hard light: {own:.3f} with visibility, {old:.3f} without, ratio {own / old:.2f}"
        )
    return lines


def _pairs(results: Sequence[FitResult], one: str, other: str) -> list[tuple[FitResult, FitResult]]:
    second = {result.face.name: result for result in results if result.method == other}
    return [
        (result, second[result.face.name]) for result in results if result.method == one and result.face.name in second
    ]


def _spread(results: Sequence[FitResult], value: Callable[[FitResult], float], form: str, hard_only: bool) -> str:
    values = np.array([value(result) for result in results if result.face.plan.lamps > 0 or not hard_only])
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    return f"{format(values.mean(), form)} ± {format(values.std(), form.lstrip('+'))}"
