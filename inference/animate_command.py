"""`likeness animate`: a head that infer.py has made moves as a track says (docs/video.md).

python -m likeness animate results/photo.jpg/face0 --track take.csv --output animated
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from common.command_line import ShortParser, spelled
from common.ranges import Range

_SIZES, _RATES = Range(64, 2048), Range(1, 1000)


@dataclass(frozen=True)
class AnimateOptions:
    """The command line of `likeness animate`.

    Attributes:
        head: Folder of a face with a `mesh.glb`, or that file.
        track: A CSV of Live Link Face, or a folder that `infer.py --video` wrote.
        output: Folder for `animated.glb` and `animated.mp4`.
        size: Side of the film's picture in px.
        fps: Frames a second of the CSV's time codes, where these leave it open.
    """

    head: Path
    track: Path
    output: Path = Path("animated")
    size: int = 480
    fps: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        if self.size not in _SIZES:
            raise ValueError(f"--size is {self.size}: expected px, {_SIZES}")
        if self.fps is not None and self.fps not in _RATES:
            raise ValueError(f"--fps is {self.fps:g}: expected frames a second, {_RATES}")


def main(arguments: list[str] | None = None, program: str = "likeness animate") -> int:
    """Read the command line and write the files; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    parser = ShortParser(prog=program, description="Move a head as a track says: an mp4 and an animated GLB.")
    parser.add_argument("head", type=Path, help="folder of a face that infer.py wrote, with its mesh.glb")
    parser.add_argument(
        "--track", type=Path, required=True, help="CSV of Live Link Face, or a folder that infer.py --video wrote"
    )
    parser.add_argument("--output", type=Path, default=AnimateOptions.output, help="folder for the files")
    parser.add_argument("--size", type=int, default=AnimateOptions.size, help="side of the film's picture in px")
    parser.add_argument("--fps", type=float, help="frames a second of the CSV's time codes")
    values = vars(parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments, "-")))
    try:
        options = AnimateOptions(**values)
    except ValueError as error:
        parser.error(str(error))
    try:
        _animate(options)
    except (OSError, ValueError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _animate(options: AnimateOptions) -> None:
    # Late, since they load torch: a mistyped option is refused at once.
    from inference.head_film import read_track, write_animated_film, write_animated_glb
    from model.export.glb_reader import read_glb_head
    from model.pictures.distant_light import lamp_light

    track, head = read_track(options.track, options.fps), read_glb_head(options.head)
    options.output.mkdir(parents=True, exist_ok=True)
    unknown = [name for name in track.expression_names if name not in head.expression_names]
    if unknown:
        print(f"{options.track}: the head has no blendshapes {', '.join(unknown)}", file=sys.stderr)
    if find_spec("av") is None:
        print("no film: it needs the package av, pip install 'likeness[video]'", file=sys.stderr)
    elif head.by_bones:
        print(f"no film: {options.head} was made with --rig bones, of which no pictures are drawn", file=sys.stderr)
    else:
        film = options.output / "animated.mp4"
        write_animated_film(head, track, film, options.size, lamp_light(35.0, 35.0), tell=True)
        print(film)
    write_animated_glb(head, track, options.output / "animated.glb")
    print(options.output / "animated.glb")


if __name__ == "__main__":
    sys.exit(main())
