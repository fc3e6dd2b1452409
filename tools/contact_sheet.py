"""Put the overlays of a results folder on one picture, to look at many faces at once.

python -m tools.contact_sheet results/ --output sheet.jpg [--count 32] [--columns 2]
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

from common.atomic import atomic_path

ROW_WIDTH_PX = 900


def contact_sheet(results: Path, count: int, columns: int) -> Image.Image:
    """Overlays of the first faces, in the order of their paths.

    Raises:
        FileNotFoundError: If the folder holds no overlay.
    """
    paths = sorted(results.rglob("overlay.jpg"))[:count]
    if not paths:
        raise FileNotFoundError(f"{results}: no overlay.jpg in it; run infer.py with the overlay format first")
    rows = []
    for path in paths:
        with Image.open(path) as overlay:
            height = round(overlay.height * ROW_WIDTH_PX / overlay.width)
            rows.append(overlay.resize((ROW_WIDTH_PX, height), Image.Resampling.LANCZOS))
    height = max(row.height for row in rows)
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * ROW_WIDTH_PX, lines * height), (237, 237, 237))
    for index, row in enumerate(rows):
        sheet.paste(row, ((index // lines) * ROW_WIDTH_PX, (index % lines) * height))
    return sheet


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what infer.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="the picture, .jpg or .png")
    parser.add_argument("--count", type=int, default=32, help="most faces on it")
    parser.add_argument("--columns", type=int, default=2, help="faces side by side")
    arguments = parser.parse_args()
    try:
        sheet = contact_sheet(arguments.results, arguments.count, arguments.columns)
    except FileNotFoundError as error:
        sys.exit(f"contact_sheet: {error}")
    with atomic_path(arguments.output) as temporary:
        sheet.save(temporary, "PNG" if arguments.output.suffix.lower() == ".png" else "JPEG", quality=88)


if __name__ == "__main__":
    main()
