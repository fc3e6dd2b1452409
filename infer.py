"""Turn photographs into textured 3D heads.

    python infer.py --images photo.jpg folder/ --output results/
    python infer.py --images photo.jpg --refine raytrace        (docs/refinement.md)
    python infer.py --video film.mp4                            (docs/video.md)
    python infer.py --images folder/ --ray                      (docs/scale.md)

Each face gets a folder `results/<image>/face<k>/`; `results/index.html` shows them all, `results/report.json` says
what became of each file. Exit code: 0 if at least one image gave a face, 1 if none did, 2 for a wrong command line.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# One answer for each of many small matrices: threads inside an operation cost more than they bring (see
# `tools/benchmark.py`); the stages run in parallel instead. The variable must be set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import fields
from typing import get_args

from common.command_line import ShortParser, spelled
from common.mesh_options import MeshOptions, PoseKind, RigKind, Units
from common.paths import shipped
from common.places import place_of
from common.ray_jobs import add_ray_options, ray_request, refuse_without_ray
from common.texture_sizes import TEXTURE_SIDES
from inference.camera_request import CameraRequest
from inference.options import ALL_FORMATS, Backend, CommandLineError, Device, HairKind, InferenceOptions, MaterialKind
from inference.refine_request import LEVELS, PathTrace, RefineRequest


def main(arguments: list[str] | None = None, program: str = "infer.py") -> int:
    """Read the command line and run; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    options = parse_options(arguments, program)
    try:
        return _run(options)
    except CommandLineError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted; --resume goes on from here", file=sys.stderr)
        return 130


def _run(options: InferenceOptions) -> int:
    # Late, since it loads what reads pictures, and later torch: --help and a mistyped option or path answer at once.
    from inference.inputs import list_inputs, list_videos

    try:
        inputs = list_videos(options.videos) if options.videos else list_inputs(options.images, options.output)
        _refuse_early(options)
    except (OSError, ValueError) as error:
        raise CommandLineError(str(error)) from error
    if options.videos:
        from inference.video_run import run_videos

        return run_videos(options, inputs)
    from inference.run import run

    return run(options, inputs)


def _refuse_early(options: InferenceOptions) -> None:
    """Refuse paths that cannot be meant, as the loaders of what lies there would after seconds.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If the output cannot be a folder, the camera's file holds none, or a package is missing.
    """
    if options.ray is not None:
        refuse_without_ray()
    if not (options.checkpoint / "config.json").is_file():
        raise FileNotFoundError(f"--checkpoint {options.checkpoint}: no checkpoint; it is a folder with a config.json")
    for place in (options.output, *options.output.parents) if isinstance(options.output, Path) else ():
        if place.is_file():
            raise ValueError(f"--output {options.output}: the file {place} is in the way; name a folder")
    if options.videos and find_spec("av") is None:
        raise ValueError("--video needs the package av: pip install 'likeness[video]'")
    if options.camera.intrinsics is not None:
        from inference.intrinsics import read_intrinsics

        read_intrinsics(options.camera.intrinsics)


def parse_options(arguments: list[str] | None = None, program: str = "infer.py") -> InferenceOptions:
    """The options of a command line; a wrong one ends the program with exit code 2."""
    parser = ShortParser(prog=program, description="Turn photographs into textured 3D heads.")
    defaults = InferenceOptions(images=[Path()])
    parser.add_argument(
        "--images",
        type=str,
        nargs="+",
        default=[],
        help="photographs and folders of them, or addresses such as s3://bucket/folder (docs/scale.md); links out of a "
        "folder are not followed",
    )
    parser.add_argument("--video", type=Path, nargs="+", default=[], help="videos instead: docs/video.md")
    parser.add_argument(
        "--output", type=str, default=str(defaults.output), help="folder for the results, or an address"
    )
    parser.add_argument("--checkpoint", type=Path, default=defaults.checkpoint, help="checkpoint folder")
    parser.add_argument("--device", choices=get_args(Device), default=defaults.device, help="where to compute")
    parser.add_argument(
        "--backend", choices=get_args(Backend), default=defaults.backend, help="what runs the network: docs/export.md"
    )
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size, help="faces computed at once")
    parser.add_argument("--largest-face", action="store_true", help="only the largest face of each photograph")
    parser.add_argument(
        "--min-face", type=float, default=defaults.min_face, help="smallest face that is looked for, in px"
    )
    parser.add_argument("--min-score", type=float, default=defaults.min_score, help="least score of a detection")
    parser.add_argument(
        "--formats", nargs="+", choices=ALL_FORMATS, default=list(defaults.formats), help="what to write for each face"
    )
    parser.add_argument(
        "--texture-size",
        type=int,
        choices=TEXTURE_SIDES,
        help="side of the textures in px; by default as many as each photograph has detail for",
    )
    parser.add_argument(
        "--material",
        choices=get_args(MaterialKind),
        default=defaults.material,
        help="what covers the GLB: skin that the viewer lights, or the photograph with its own light",
    )
    parser.add_argument(
        "--hair",
        choices=get_args(HairKind),
        default=defaults.hair,
        help="shell: a mesh of its own over a bald head; cap: painted on the skull; none: no hair",
    )
    _add_mesh(parser)
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run finished, do the rest")
    _add_camera(parser)
    _add_refinement(parser)
    add_ray_options(parser, "-")
    values = vars(parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments, "-")))
    asked = {name: values.pop(option) for option, name in _REFINEMENT.items()}
    known = {name: values.pop(name) for name in _CAMERA}
    mesh = {field.name: values.pop(field.name) for field in fields(MeshOptions)}
    asked["config"] = shipped(asked["config"])
    values["videos"] = tuple(values.pop("video"))
    try:
        values |= {"images": [place_of(text) for text in values["images"]], "output": place_of(values["output"])}
        ray = ray_request(values.pop("ray"), values.pop("ray_workers"))
        parts = {
            "camera": CameraRequest(**known),
            "refinement": RefineRequest(**asked),
            "mesh": MeshOptions(**mesh),
            "ray": ray,
        }
        return InferenceOptions(**{**values, **parts, "formats": tuple(values["formats"])})
    except ValueError as error:
        parser.error(str(error))


def _add_mesh(parser: ShortParser) -> None:
    defaults = MeshOptions()
    parser.add_argument(
        "--units", choices=get_args(Units), default=defaults.units, help="of lengths in OBJ files; a GLB is in metres"
    )
    parser.add_argument(
        "--rig",
        choices=get_args(RigKind),
        default=defaults.rig,
        help="who opens the jaw and turns the eyes of the GLB: its blendshapes or its joints (docs/rig.md)",
    )
    parser.add_argument(
        "--pose",
        choices=get_args(PoseKind),
        default=defaults.pose,
        help="how the GLB's head stands: upright, or as the photograph's camera sees it",
    )


_CAMERA = ("fov", "focal_px", "intrinsics")
"""Options that make the `CameraRequest`, and its fields."""


def _add_camera(parser: ShortParser) -> None:
    parser.add_argument(
        "--fov", type=float, help="field of view in degrees over the longer side of each photograph, where it is known"
    )
    parser.add_argument("--focal-px", type=float, help="focal length in px of the photographs, where it is known")
    parser.add_argument(
        "--intrinsics",
        type=Path,
        help="file with the camera matrix of all photographs or of each by its name: docs/results.md",
    )


_REFINEMENT = {
    "refine": "level",
    "refine_config": "config",
    "network": "network",
    "landmarks": "landmarks",
    "path_trace": "path_trace",
}
"""Options that make the `RefineRequest`, and its fields."""


def _add_refinement(parser: ShortParser) -> None:
    defaults = RefineRequest()
    parser.add_argument(
        "--refine", choices=LEVELS, default=defaults.level, help="fit each answer to its photograph up to this stage"
    )
    parser.add_argument("--refine-config", type=Path, default=defaults.config, help="YAML with the stages' settings")
    parser.add_argument(
        "--no-network",
        dest="network",
        action="store_false",
        help="start from the mean head; --landmarks must come from elsewhere",
    )
    parser.add_argument(
        "--landmarks",
        default=defaults.landmarks,
        help="what the landmark fit goes by: network, mediapipe, face-alignment, or a file or folder of landmarks",
    )
    parser.add_argument(
        "--path-trace",
        choices=get_args(PathTrace),
        default=defaults.path_trace,
        help="final pictures by Mitsuba; auto: where it can be used",
    )


if __name__ == "__main__":
    sys.exit(main())
