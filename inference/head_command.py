"""`likeness head`: published models, scans, and results of other heads (docs/morphable-models.md).

python -m likeness head convert --from surrey --input eos/share --output surrey.safetensors
python -m likeness head register scan.obj --output person.safetensors
python -m likeness head transfer results/photo/face.npz --from-head ict.safetensors --output face.npz
"""

import sys
from pathlib import Path

from common.command_line import ShortParser, spelled
from common.paths import DEFAULT_CHECKPOINT, DEFAULT_HEAD

USAGE = """usage: likeness head convert|register|transfer OPTIONS

  convert    turn a published head model into a head file
  register   fit a head to a scan and write the person's own head file
  transfer   express a result of one head in another

`likeness head convert --help` and so on tell the options.
"""

UNITS = ("auto", "mm", "cm", "m")
"""What a scan may be in."""


def main(arguments: list[str] | None = None, program: str = "likeness head") -> int:
    """Run what the first word names; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    words = sys.argv[1:] if arguments is None else arguments
    name = words[0] if words else ""
    if name in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    run = {"convert": _convert, "register": _register, "transfer": _transfer}.get(name)
    if run is None:
        told = f"{name!r} is no command" if name else "which command?"
        print(f"{USAGE}\n{program}: {told}", file=sys.stderr)
        return 2
    try:
        run(words[1:], f"{program} {name}")
    except (OSError, ValueError) as error:
        print(f"{program} {name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _convert(words: list[str], program: str) -> None:
    parser = ShortParser(prog=program, description="Turn a published head model into a head file.")
    parser.add_argument("--from", dest="kind", required=True, help="ict, flame, bfm2009, bfm2009-deep3d, bfm2017, "
                        "bfm2019, gnm or surrey")  # fmt: skip
    parser.add_argument("--input", type=Path, required=True, help="the model's file, or its folder")
    parser.add_argument("--output", type=Path, required=True, help="the head file to write, .safetensors")
    parser.add_argument("--landmarks", type=Path, help="flame, gnm: the file with the 68 points")
    parser.add_argument("--contour", type=Path, help="flame: flame_dynamic_embedding.npy")
    parser.add_argument("--texture", type=Path, help="flame: texture space; bfm2017, bfm2019: AlbedoMM's part")
    parser.add_argument("--masks", type=Path, help="flame: FLAME_masks.pkl")
    parser.add_argument("--expressions", type=Path, help="surrey: expression_blendshapes_3448.bin")
    parser.add_argument("--identity_count", type=int, help="keep so many identity components, the strongest")
    parser.add_argument("--expression_count", type=int, help="keep so many expressions, the strongest")
    parser.add_argument("--reference", type=Path, default=DEFAULT_HEAD, help="the head that lends what is lacking")
    options = parser.parse_args(spelled(words, "_"))
    _refuse_output(options.output, ".safetensors")
    # Late, since it loads SciPy and the head: a mistyped option is refused at once.
    from inference.head_conversion import convert
    from model.face.readers.kinds import SourceFiles

    files = SourceFiles(
        options.input, options.landmarks, options.contour, options.texture, options.masks, options.expressions
    )
    counts = (options.identity_count, options.expression_count)
    for line in convert(options.kind, files, options.output, options.reference, *counts):
        print(line)


def _register(words: list[str], program: str) -> None:
    parser = ShortParser(prog=program, description="Fit a head to a scan and write the person's own head file.")
    parser.add_argument("scan", type=Path, help="OBJ file with v and f lines, and colours if it has some")
    parser.add_argument("--output", type=Path, required=True, help="the head file to write, .safetensors")
    parser.add_argument("--head", type=Path, default=DEFAULT_HEAD, help="the head that is fitted")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="the network that finds landmarks")
    parser.add_argument("--unit", choices=UNITS, default="auto", help="of the scan; auto takes the likely one")
    parser.add_argument("--expression", action="store_true", help="the person shows one; it is taken out of the head")
    parser.add_argument("--view", type=Path, help="picture of the scan with the landmarks")
    options = parser.parse_args(spelled(words, "_"))
    _refuse_output(options.output, ".safetensors")
    from inference.scan_registration import ScanRequest, register_scan

    request = ScanRequest(
        options.scan, options.head, options.checkpoint, options.unit, options.expression, options.view
    )
    for line in register_scan(request, options.output):
        print(line)


def _transfer(words: list[str], program: str) -> None:
    parser = ShortParser(prog=program, description="Express a result of one head in another.")
    parser.add_argument("result", type=Path, help="face.npz as infer.py writes it")
    parser.add_argument("--from_head", type=Path, default=DEFAULT_HEAD, help="the head it is expressed in")
    parser.add_argument("--to_head", type=Path, default=DEFAULT_HEAD, help="the head it shall be expressed in")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--map", type=Path, help="where the heads' correspondence is kept; beside --output by default")
    options = parser.parse_args(spelled(words, "_"))
    _refuse_output(options.output, ".npz")
    from inference.head_transfer import transfer

    for line in transfer(options.result, options.from_head, options.to_head, options.output, options.map):
        print(line)


def _refuse_output(path: Path, suffix: str) -> None:
    if path.suffix != suffix:
        raise ValueError(f"--output {path}: expected a file name that ends in {suffix}")
    if path.is_dir():
        raise ValueError(f"--output {path}: a folder of this name is in the way")


if __name__ == "__main__":
    sys.exit(main())
