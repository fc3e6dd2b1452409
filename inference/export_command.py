"""`likeness export`: the network as one file that runs without Likeness (docs/export.md).

python -m likeness export --format onnx --output network.onnx
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import ShortParser, spelled
from inference.export_options import FILE_KINDS, PRECISIONS, AnswersDifferError, ExportOptions

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: list[str] | None = None, program: str = "likeness export") -> int:
    """Read the command line and write the file; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    options = _parse(sys.argv[1:] if arguments is None else arguments, program)
    try:
        options.refuse()
        _export(options)
    except (AnswersDifferError, OSError, ValueError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parse(arguments: list[str], program: str) -> ExportOptions:
    parser = ShortParser(prog=program, description="Write the network as one file that runs without Likeness.")
    parser.add_argument("--format", choices=FILE_KINDS, required=True, help="ONNX, or PyTorch's exported program")
    parser.add_argument("--output", type=Path, required=True, help="the file, with the ending .onnx or .pt2")
    parser.add_argument("--checkpoint", type=Path, default=ExportOptions.checkpoint, help="checkpoint folder")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=ExportOptions.precision, help="what the weights are stored in"
    )
    parser.add_argument(
        "--photographs", type=Path, help="folder of photographs on whose faces the file is compared with PyTorch"
    )
    values = vars(parser.parse_args(spelled(arguments, "-")))
    return ExportOptions(
        values["format"], values["output"], values["checkpoint"], values["precision"], values["photographs"]
    )


def _export(options: ExportOptions) -> None:
    # Late, since they load torch: a mistyped option or path is refused at once.
    from inference.network_file import OPSET, compare, read_network, write_network
    from model.checkpoint import load_reconstructor, source_sha256

    reconstructor = load_reconstructor(options.checkpoint)
    facts = source_sha256(options.checkpoint)
    made_up = write_network(reconstructor, options.output, options.kind, precision=options.precision, facts=facts)
    kind = f"ONNX of opset {OPSET}" if options.kind == "onnx" else "PyTorch's exported program"
    size = reconstructor.image_size
    print(f"{options.output}: {kind}, {options.output.stat().st_size / 1e6:.1f} MB, crops of {size} x {size} px")
    print(f"from PyTorch's answers: {made_up} that are no photographs")
    if options.photographs is not None:
        found = compare(reconstructor, read_network(options.output), _faces(options.photographs, size))
        told = f"{found} of {options.photographs}" if found.faces else f"no face was found in {options.photographs}"
        print(f"from PyTorch's answers: {told}")


def _faces(folder: Path, size: int) -> Iterator[tuple["Tensor", "Tensor"]]:
    """The largest face of each photograph of a folder that can be read: its crop and camera."""
    import torch

    from data.detector import FaceDetector
    from data.image_io import UnreadableImageError, find_images, read_photograph
    from inference.faces import FaceRequest, find_faces
    from model.geometry.camera import crop_intrinsics

    detector = FaceDetector("cpu")
    for path in find_images([folder]):
        try:
            image_srgb = read_photograph(path)
        except UnreadableImageError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        for detection in find_faces(detector, image_srgb, largest_face=True):
            request = FaceRequest.of_detection(image_srgb, detection)
            window = request.window
            crop = torch.from_numpy(request.crop(window, size)).permute(2, 0, 1).float() / 255.0
            camera = crop_intrinsics(request.intrinsics_px, window.left_px, window.top_px, size / window.side_px)
            yield crop[None], camera[None]


if __name__ == "__main__":
    sys.exit(main())
