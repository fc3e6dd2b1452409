"""Write the example photograph: `skimage.data.astronaut()` (NASA, public domain), part of scikit-image's wheel."""

from pathlib import Path

import skimage.data
import skimage.io

from common.atomic import atomic_path
from tools.command import run_tool


def write_example(output: Path) -> None:
    """Write the photograph.

    Args:
        output: A PNG file; its folder is made if missing.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary:
        skimage.io.imsave(temporary, skimage.data.astronaut(), check_contrast=False)


if __name__ == "__main__":
    run_tool(write_example)
