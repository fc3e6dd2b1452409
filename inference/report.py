"""What became of each input: the entries, `report.json`, and the versions that made the results."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from textwrap import indent
from typing import Any, Literal

from common.atomic import atomic_path
from common.version import VERSION

REPORT_FORMAT = "likeness-report-1"
REPORT_NAME = "report.json"

Status = Literal["ok", "doubtful", "no_face", "unreadable", "unsupported", "too_large", "failed", "not_done"]
"""`doubtful`: all was written, but a face at least has a low confidence. `unsupported`: a picture of a kind that is not
read. `failed`: found faces could not be reconstructed or written. `not_done`: the run was interrupted before.
"""

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "onnxruntime", "facenet-pytorch", "numba", "pygltflib")


@dataclass(frozen=True)
class StageEntry:
    """What became of one stage of a face's refinement.

    Attributes:
        name: The stage.
        accepted: False where the answer before it was kept.
        reason: Why, in words.
        seconds: What it took.
    """

    name: str
    accepted: bool
    reason: str
    seconds: float


@dataclass(frozen=True)
class FaceEntry:
    """One face that was written.

    Attributes:
        folder: Its folder, relative to the output folder.
        box_px: Detection in the photograph: left, top, right, bottom.
        score: The detector's confidence in [0, 1].
        yaw_pitch_roll_degrees: Pose of the head.
        files: Size in bytes and CRC-32 of each file in the folder.
        refinement: The stages it went through, in their order.
        confidence: Probability in [0, 1] that the head is right; None where the network was not asked.
    """

    folder: str
    box_px: tuple[float, float, float, float]
    score: float
    yaw_pitch_roll_degrees: tuple[float, float, float]
    files: dict[str, tuple[int, int]]
    refinement: tuple[StageEntry, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True)
class CameraEntry:
    """The camera that a photograph was read with.

    Attributes:
        source: Where it came from: `assumed`, `exif`, or the option that said it.
        note: The same in words.
        focal_px: Its focal length, before any refinement.
    """

    source: str
    note: str
    focal_px: float


@dataclass(frozen=True)
class ImageEntry:
    """What became of one input file.

    Attributes:
        image: The file, as the command line leads to it.
        key: Its folder in the output.
        status: See `Status`.
        message: What is wrong and what to do, empty where all is well.
        faces: The faces, largest first.
        seconds: From reading to the last file written, waiting included.
        camera: The photograph's camera; None where it could not be read.
    """

    image: str
    key: str
    status: Status
    message: str
    faces: tuple[FaceEntry, ...]
    seconds: float
    camera: CameraEntry | None = None


def entry_from_dict(content: dict[str, Any]) -> ImageEntry:
    """Read an entry back from JSON.

    Raises:
        KeyError: If a field is missing.
        TypeError: If there is an unknown one.
    """
    faces = tuple(
        FaceEntry(
            **{
                **face,
                "box_px": tuple(face["box_px"]),
                "yaw_pitch_roll_degrees": tuple(face["yaw_pitch_roll_degrees"]),
                "files": {name: tuple(stamp) for name, stamp in face["files"].items()},
                "refinement": tuple(StageEntry(**stage) for stage in face["refinement"]),
            }
        )
        for face in content["faces"]
    )
    camera = content["camera"]
    return ImageEntry(**{**content, "faces": faces, "camera": None if camera is None else CameraEntry(**camera)})


def versions() -> dict[str, str]:
    """Versions of Likeness, Python and the packages the results depend on."""
    return {"likeness": VERSION, "python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def write_report(
    output: Path, entries: Sequence[ImageEntry], *, options: dict[str, Any], checkpoint_sha256: str, seconds: float
) -> None:
    """Write `report.json`, atomically.

    Args:
        output: The output folder.
        entries: One for each input file, in their order.
        options: The command line, JSON-able.
        checkpoint_sha256: What `inference.resume.checkpoint_sha256` says of the model used.
        seconds: Duration of the run.
    """
    report = {
        "format": REPORT_FORMAT,
        "versions": versions() | {"checkpoint_sha256": checkpoint_sha256},
        "options": options,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(entries) / max(seconds, 1e-6), 3),
        "counts": dict(Counter(entry.status for entry in entries)),
    }
    with atomic_path(output / REPORT_NAME) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(_json(report).removesuffix("\n}") + ',\n "entries": [')
        # One after the other: as dicts, the entries of 10,000 images would take 160 MB.
        for number, entry in enumerate(entries):
            file.write((",\n" if number else "\n") + indent(_json(asdict(entry)), "  "))
        file.write("\n ]\n}\n" if entries else "]\n}\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, atomically; NaN is refused, since browsers cannot read it."""
    with atomic_path(path) as temporary:
        temporary.write_text(_json(content) + "\n", encoding="utf-8")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False)
