"""Measure a checkpoint.

    python evaluate.py aflw2000 --data DIR       landmarks and pose on AFLW2000-3D
    python evaluate.py photographs --data DIR    re-rendered faces and identities on held-out photographs

Exit code 2 if the data or the checkpoint is not there.
"""

import os
import sys
from pathlib import Path
from typing import Literal

# As in `infer.py`: threads inside small operations cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jsonargparse import CLI

from evaluation.aflw2000 import evaluate_faces, format_table
from evaluation.aflw2000_data import read_aflw2000
from inference.options import RELEASED_CHECKPOINT
from inference.setup import CommandLineError, load_tools


def aflw2000(
    data: Path, checkpoint: Path = RELEASED_CHECKPOINT, device: Literal["auto", "cpu", "cuda"] = "auto", looks: int = 2
) -> None:
    """Print the 68-point table of AFLW2000-3D, with own detection and with true boxes.

    Args:
        data: Folder with AFLW2000-3D's `image*.jpg` and `image*.mat`, or some of them.
        checkpoint: Checkpoint folder.
        device: Where to compute.
        looks: Crops of each face; `infer.py` takes 2.
    """
    faces = read_aflw2000(data)
    tools = load_tools(checkpoint, device, looks)
    own = evaluate_faces(faces, tools.faces, tools.detector)
    true_boxes = evaluate_faces(faces, tools.faces, None)
    print(format_table(own, true_boxes))


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and measure; returns the exit code."""
    try:
        CLI({"aflw2000": aflw2000}, args=arguments, as_positional=False)
    except (FileNotFoundError, ValueError, CommandLineError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
