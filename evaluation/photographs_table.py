"""What `evaluate.py photographs` prints."""

from collections.abc import Sequence

import numpy as np

from evaluation.metrics import same_person_area
from evaluation.photographs import PhotographResult
from evaluation.rendering_recognition import format_rendering_recognition, rendering_recognition
from evaluation.skin_tone import TONE_GROUPS


def format_photographs(results: Sequence[PhotographResult]) -> str:
    """Both comparisons as text."""
    own = np.array([result.psnr_db for result in results])
    mean = np.array([result.baseline_psnr_db for result in results])
    rows = {
        f"model ({len(results)} photographs)": own,
        "model without its detail": np.array([result.linear_psnr_db for result in results]),
        "mean face under the model's light": np.array([result.baseline_own_light_psnr_db for result in results]),
        "model, light fitted to each photograph": np.array([result.relit_psnr_db for result in results]),
        "mean face, light fitted to each photograph": mean,
    }
    lines = [f"{'re-rendered skin, masked PSNR in dB':<52}{'mean':>8}{'median':>8}"]
    lines += [f"{name:<52}{values.mean():>8.2f}{np.median(values):>8.2f}" for name, values in rows.items()]
    share = 100.0 * np.mean(own > mean)
    lines += [f"{'model better than the mean face with fitted light':<52}{share:>8.1f} % of photographs", ""]
    lines += [*_by_tone(results), ""]
    known = [result for result in results if result.person >= 0]
    people = np.array([result.person for result in known])
    same = sum(n * (n - 1) // 2 for n in np.unique(people, return_counts=True)[1]) if known else 0
    if same == 0:
        return "\n".join([*lines, "no person appears twice: identity cannot be measured"])
    identity = np.stack([result.identity for result in known]).astype(np.float64)
    lines += [
        f"same person or not by identity coefficients: {len(known)} photographs, {len(np.unique(people))} people, "
        f"{same} same pairs",
        f"{'area under the ROC curve, Euclidean distance':<52}{same_person_area(identity, people):>8.3f}",
        f"{'area under the ROC curve, angle':<52}{same_person_area(identity, people, cosine=True):>8.3f}",
        f"{'mean face (its coefficients are all alike)':<52}{0.5:>8.3f}",
    ]
    photographs = [result.yardstick for result in known if result.yardstick is not None]
    renderings = [result.rendering_yardstick for result in known if result.rendering_yardstick is not None]
    if len(photographs) == len(renderings) == len(known):
        seen = rendering_recognition(np.stack(photographs), np.stack(renderings), people)
        lines += ["", *format_rendering_recognition(seen)]
    return "\n".join(lines)


def _by_tone(results: Sequence[PhotographResult]) -> list[str]:
    """Accuracy by apparent skin tone, colour photographs only."""
    lines = [f"{'apparent skin tone (typology angle, degrees)':<52}{'photos':>8}{'NME %':>8}{'PSNR dB':>9}"]
    for name, least, largest in TONE_GROUPS:
        group = [r for r in results if r.tone_degrees is not None and least <= r.tone_degrees < largest]
        if group:
            nme = np.mean([result.nme_percent for result in group])
            lines.append(f"{name:<52}{len(group):>8}{nme:>8.2f}{np.mean([r.psnr_db for r in group]):>9.2f}")
    return lines
