"""Heads as the NoW benchmark takes them: for each picture a neutral mesh and seven landmarks on it.

Sanyal et al., CVPR 2019; the format is that of soubhiksanyal/now_evaluation: `NAME.obj` with vertices and triangles and
nothing else (its reader refuses colours), `NAME.npy` with (7, 3) landmarks in the same space, both under the picture's
own name. Ours are in millimetres, so the metrical evaluation is told `--predicted_mesh_unit mm`.
"""

from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from evaluation.scans_data import AnsweredHead


def write_now_files(answer: AnsweredHead, name: str, folder: Path) -> None:
    """Write `NAME.obj` and `NAME.npy`, each whole or not at all.

    Args:
        answer: The head; its neutral mesh is written, in model space, mm.
        name: The picture's name without suffix.
        folder: Where to; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{name}.npy") as temporary:
        np.save(temporary, answer.neutral_landmarks7_mm.astype(np.float32), allow_pickle=False)
    vertices = "v %.5f %.5f %.5f\n" * len(answer.neutral_mm) % tuple(answer.neutral_mm.ravel().tolist())
    triangles = "f %d %d %d\n" * len(answer.faces) % tuple((answer.faces + 1).ravel().tolist())
    with atomic_path(folder / f"{name}.obj") as temporary:
        temporary.write_text(vertices + triangles, encoding="utf-8")
