"""Draw heads from all around under lamps: what a viewer of their GLB files sees, in one picture.

python -m tools.turntable --photographs examples/astronaut.png folder/ --output turntable.jpg
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from jsonargparse import auto_cli

from common.paths import DEFAULT_CHECKPOINT
from inference.head import Head
from inference.inputs import list_inputs
from inference.likeness import Likeness
from inference.refine_request import Level
from model.export.picture_files import write_jpeg
from model.look.atlas import Atlas
from model.pictures.lit import View, draw_lit, draw_unlit, turned_view

_VIEWS = ((0.0, 0.0), (45.0, 0.0), (90.0, 0.0), (180.0, 0.0), (20.0, 45.0), (20.0, -35.0))
"""Yaw and pitch in degrees: front, 45 and 90 degrees, back, from above, from below."""
_LAMPS = ((-1.0, 0.35, 0.5), (0.6, 0.8, 0.7))
"""Towards the lamps, one row each: low from the left, high from the right."""
_BACKGROUND = 56


def turntable(
    photographs: list[Path],
    output: Path,
    size: int = 300,
    refine: Level = "none",
    checkpoint: Path = DEFAULT_CHECKPOINT,
) -> None:
    """Write the picture: two rows for the largest face of each photograph.

    Args:
        photographs: Files, and folders of them.
        output: The JPEG.
        size: Side of each view in px.
        refine: Fit the heads to their photographs first.
        checkpoint: Checkpoint folder.

    Raises:
        ValueError: If there is no face in any of the photographs.
    """
    likeness = Likeness.load(checkpoint, "cpu")
    rows = []
    for item in list_inputs(photographs, output.parent / "nothing"):
        for head in likeness.reconstruct(str(item.path), largest_face=True, refine=refine):
            rows.append(_drawn(head, likeness.atlases, size))
    if not rows:
        raise ValueError(f"{', '.join(map(str, photographs))}: no face found")
    write_jpeg(np.concatenate(rows), output)


def _drawn(head: Head, atlases: Sequence[Atlas], size_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """The head as its photograph sees it, unlit, and its views."""
    result, look = head.result, head.look
    posed_mm = look.shape.posed_mm(result.expression)
    yaw, pitch, _ = (float(angle) for angle in result.yaw_pitch_roll_degrees)
    as_seen = turned_view(result, yaw, pitch, size_px, posed_mm)

    def lit(view: View, lamp: tuple[float, float, float]) -> UInt8[np.ndarray, "size size 3"]:
        picture, covered = draw_lit(result, look, atlases, view, lamp)
        return np.where(covered[..., None], picture, _BACKGROUND).astype(np.uint8)

    rows = []
    for lamp in _LAMPS:
        first = lit(as_seen, (0.0, 0.3, 1.0)) if rows else draw_unlit(result, look, atlases, as_seen)
        views = [lit(turned_view(result, *angles, size_px, posed_mm), lamp) for angles in _VIEWS]
        rows.append(np.concatenate([first, *views], axis=1))
    return np.concatenate(rows)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and draw."""
    try:
        auto_cli(turntable, args=arguments, as_positional=False)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"tools.turntable: {error}")


if __name__ == "__main__":
    main()
