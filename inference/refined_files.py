"""The files of a refined face beyond those of any face."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from common.atomic import atomic_path
from model.export.picture_files import write_jpeg
from model.face.morphable_model import MorphableModel
from model.pictures.before_after import draw_before_after
from model.pictures.relit import draw_relit
from model.refine.face import StageRecord
from model.refine.refined import RefinedFace

REFINEMENT_FORMAT = "likeness-refinement-1"
REFINEMENT_NAME = "refinement.json"
HISTORY_NAME = "history.csv"
BEFORE_AFTER_NAME = "before_after.jpg"
RELIT_NAME = "relit.jpg"
PATH_TRACED_NAME = "path_traced.png"


def write_refined(
    refined: RefinedFace, morphable_model: MorphableModel, folder: Path, formats: Sequence[str], relit_px: int
) -> None:
    """Write what the stages say of themselves and, with the format `pictures`, what they changed.

    Args:
        refined: The face.
        morphable_model: Its head.
        folder: Where to; it exists.
        formats: What is wanted.
        relit_px: Side of each picture of the relit strip.
    """
    write_records(refined.records, folder / REFINEMENT_NAME)
    write_history(refined.records, folder / HISTORY_NAME)
    if "pictures" not in formats:
        return
    write_jpeg(draw_before_after(refined, morphable_model), folder / BEFORE_AFTER_NAME)
    if refined.raytraced is not None:
        write_jpeg(draw_relit(refined, refined.raytraced, morphable_model, relit_px), folder / RELIT_NAME)
    if refined.path_traced_srgb is not None:
        with atomic_path(folder / PATH_TRACED_NAME) as temporary:
            Image.fromarray(refined.path_traced_srgb).save(temporary, "PNG")


def write_records(records: Sequence[StageRecord], path: Path) -> None:
    """Write each stage's fate and figures; a figure that is no number becomes null."""
    stages = [
        {
            "name": record.name,
            "accepted": record.accepted,
            "reason": record.reason,
            "seconds": round(record.seconds, 3),
            "figures": {name: value if math.isfinite(value) else None for name, value in record.figures.items()},
        }
        for record in records
    ]
    with atomic_path(path) as temporary:
        content = json.dumps({"format": REFINEMENT_FORMAT, "stages": stages}, indent=1, allow_nan=False)
        temporary.write_text(content + "\n", encoding="utf-8")


def write_history(records: Sequence[StageRecord], path: Path) -> None:
    """Write every term of every step, a line each: stage, term, step, value."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("stage", "term", "step", "value"))
        for record in records:
            for term, values in record.history.items():
                writer.writerows((record.name, term, step, f"{value:.8g}") for step, value in enumerate(values))
