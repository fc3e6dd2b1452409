"""`likeness exaggerate`: a caricature of a head that `infer.py` wrote (docs/rig.md).

likeness exaggerate results/photo.jpg/face0 --factor 1.6 --region nose=2.0
"""

import sys
from pathlib import Path

from common.command_line import ShortParser, spelled
from common.paths import DEFAULT_CHECKPOINT, shipped


def main(arguments: list[str] | None = None, program: str = "likeness exaggerate") -> int:
    """Read the command line and write the caricature; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    parser = ShortParser(prog=program, description="Make more of what makes a head differ from the mean person's.")
    parser.add_argument("head", type=Path, help="folder of a face with mesh.glb and face.npz: results/<image>/face<k>")
    parser.add_argument("--factor", type=float, default=1.6, help="of the difference: 0 the mean person, 1 as it is")
    parser.add_argument(
        "--region", nargs="+", action="extend", default=[], help="factors of their own, such as nose=2.0 ears=1.3"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for the files; by default beside the head's, with its factor"
    )
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint folder of the head")
    options = parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments, "-"))
    try:
        regions = dict(_region(word) for word in options.region)
        output = options.output or options.head.with_name(f"{options.head.name}-x{options.factor:g}")
        for name in ("mesh.glb", "face.npz"):
            if not (options.head / name).is_file():
                raise FileNotFoundError(f"{options.head}: holds no {name}; run infer.py with --formats glb npz")
        print(_write(options.head, output, options.factor, regions, shipped(options.checkpoint)))
    except (OSError, ValueError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _region(word: str) -> tuple[str, float]:
    name, _, value = word.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(f"--region {word}: expected a region and its factor, such as nose=2.0") from None


def _write(head: Path, output: Path, factor: float, regions: dict[str, float], checkpoint: Path) -> str:
    # Late, since it loads torch: a mistyped option or path is refused at once.
    from inference.caricature_files import CaricatureRequest, write_caricature
    from model.checkpoint import load_reconstructor

    request = CaricatureRequest(factor, regions)
    held_back = write_caricature(head, output, request, load_reconstructor(checkpoint).morphable_model)
    told = f"; held back at {held_back:.0%} of the head, where its skin would cut itself" if held_back else ""
    return f"{output / 'mesh.glb'}{told}"
