"""Pack ICT-FaceKit's light model, as it is downloaded, into the one file that `tools.build_head` reads.

    git clone https://github.com/USC-ICT/ICT-FaceKit
    python -m tools.pack_ict_facekit --source ICT-FaceKit/FaceXModel --output ict_facekit_light.npz

Needs no more of that repository than its folder `FaceXModel`. Takes about a minute.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from model.face.readers.ict_folder import pack


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="ICT-FaceKit's folder FaceXModel")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    options = parser.parse_args(arguments)
    arrays = pack(options.source)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(options.output) as path, path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{options.output}: " + ", ".join(f"{name} {array.shape}" for name, array in arrays.items()))


if __name__ == "__main__":
    main()
