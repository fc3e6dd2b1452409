"""`likeness relight`: a head that infer.py has made under another light (docs/video.md).

python -m likeness relight results/photo.jpg/face0 --lamp 60,30 --turn --output relit
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import ShortParser, spelled
from common.ranges import Range

if TYPE_CHECKING:
    from model.pictures.distant_light import DistantLight

_SIZES, _STOPS, _ELEVATIONS = Range(64, 2048), Range(-10, 10), Range(-90, 90)
_YAWS_DEGREES = (0.0, 40.0, -40.0)


@dataclass(frozen=True)
class RelightOptions:
    """The command line of `likeness relight`.

    Attributes:
        head: Folder of a face with a lit `mesh.glb`, or that file.
        environment: A latitude-longitude picture, `.hdr` or `.exr`.
        lamp: Azimuth and elevation in degrees of a lamp in a dim room.
        turn: Whether to write a film in which the light goes round the head.
        output: Folder for the files.
        size: Side of the pictures in px.
        exposure: Stops by which an environment is brighter than as a camera would take it.
    """

    head: Path
    environment: Path | None = None
    lamp: tuple[float, float] | None = None
    turn: bool = False
    output: Path = Path("relit")
    size: int = 480
    exposure: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Naming the option.
        """
        if (self.environment is None) == (self.lamp is None):
            raise ValueError("the light is either --environment or --lamp")
        if self.lamp is not None and self.lamp[1] not in _ELEVATIONS:
            raise ValueError(f"--lamp has an elevation of {self.lamp[1]:g}: expected degrees, {_ELEVATIONS}")
        if self.size not in _SIZES:
            raise ValueError(f"--size is {self.size}: expected px, {_SIZES}")
        if self.exposure not in _STOPS:
            raise ValueError(f"--exposure is {self.exposure:g}: expected stops, {_STOPS}")


def main(arguments: list[str] | None = None, program: str = "likeness relight") -> int:
    """Read the command line and write the files; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    parser = ShortParser(prog=program, description="Show a head under another light: pictures and an mp4.")
    parser.add_argument("head", type=Path, help="folder of a face that infer.py wrote, with its mesh.glb")
    parser.add_argument("--environment", type=Path, help="latitude-longitude picture of the light, .hdr or .exr")
    parser.add_argument("--lamp", type=str, help="AZIMUTH,ELEVATION in degrees: 0,0 at the camera, 90,0 at the right")
    parser.add_argument("--turn", action="store_true", help="a film too, in which the light goes round the head")
    parser.add_argument("--output", type=Path, default=RelightOptions.output, help="folder for the files")
    parser.add_argument("--size", type=int, default=RelightOptions.size, help="side of the pictures in px")
    parser.add_argument("--exposure", type=float, default=0.0, help="stops brighter than a camera would take it")
    given = sys.argv[1:] if arguments is None else arguments
    values = vars(parser.parse_args(_with_angles(spelled(given, "-"))))
    try:
        options = RelightOptions(**{**values, "lamp": _angles(values["lamp"])})
    except ValueError as error:
        parser.error(str(error))
    try:
        _relight(options)
    except (OSError, ValueError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _with_angles(arguments: list[str]) -> list[str]:
    """The command line with `--lamp -60,30` as one word: argparse takes what begins with a minus for an option."""
    if "--lamp" in arguments[:-1]:
        place = arguments.index("--lamp")
        return [*arguments[:place], f"--lamp={arguments[place + 1]}", *arguments[place + 2 :]]
    return arguments


def _angles(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--lamp is {text}: expected AZIMUTH,ELEVATION in degrees, for example 60,30") from error
    return azimuth, elevation


def _relight(options: RelightOptions) -> None:
    # Late, since they load torch: a mistyped option is refused at once.
    from inference.head_film import write_relit, write_turning_light
    from model.export.glb_reader import HeadFileError, read_glb_head

    light, head = _light(options), read_glb_head(options.head)
    head.refuse_bones(options.head)
    if not any(part.lit for part in head.parts):
        raise HeadFileError(f"{options.head}: holds its photograph's light; make it again without --material unlit")
    options.output.mkdir(parents=True, exist_ok=True)
    write_relit(head, light, options.output, options.size, _YAWS_DEGREES)
    print(*(options.output / f"relit{number}.png" for number in range(len(_YAWS_DEGREES))), sep="\n")
    if options.turn:
        if find_spec("av") is None:
            raise ValueError("--turn needs the package av: pip install 'likeness[video]'")
        write_turning_light(head, light, options.output / "relit.mp4", options.size)
        print(options.output / "relit.mp4")


def _light(options: RelightOptions) -> "DistantLight":
    from model.export.environment_files import EnvironmentFileError, read_environment
    from model.pictures.distant_light import environment_light, lamp_light

    if options.lamp is not None:
        return lamp_light(*options.lamp)
    assert options.environment is not None
    radiance = read_environment(options.environment)
    try:
        return environment_light(radiance, options.exposure)
    except ValueError as error:
        raise EnvironmentFileError(f"{options.environment}: {error}; name one with light in it") from error


if __name__ == "__main__":
    sys.exit(main())
