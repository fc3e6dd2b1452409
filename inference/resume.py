"""Knowing what an earlier run finished: a record in each image's folder, written last."""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.places import Place, read_part, sizes, stamp
from data.detection_limits import MIN_FACE_PX, MIN_SCORE
from inference.camera_request import CameraRequest
from inference.inputs import InputImage
from inference.options import InferenceOptions
from inference.refine_request import DETECTORS, NETWORK_LANDMARKS, RefineRequest
from inference.report import FaceEntry, ImageEntry, entry_from_dict, write_json
from model.checkpoint import file_sha256

RECORD_NAME = "result.json"
RECORD_FORMAT = "likeness-result-4"


@dataclass(frozen=True)
class Fingerprint:
    """What the results of an image depend on; another fingerprint, and they are made again.

    Attributes:
        checkpoint_sha256: Of the model.
        formats: Kinds of files asked for.
        largest_face: Whether only the largest face was wanted.
        min_face: Smallest face that was looked for.
        min_score: Least score of a face.
        look: Side of the textures, what covers the GLB, and how meshes are written.
        hair: What becomes of hair.
        refinement: Hash of what was asked for about refinement, files included; empty where nothing was.
        camera: Hash of what the user says of the camera, its file included; empty where nothing was said.
    """

    checkpoint_sha256: str
    formats: tuple[str, ...]
    largest_face: bool
    min_face: float = MIN_FACE_PX
    min_score: float = MIN_SCORE
    look: str = ""
    hair: str = ""
    refinement: str = ""
    camera: str = ""

    @classmethod
    def of(cls, options: InferenceOptions) -> "Fingerprint":
        """The fingerprint of a run; reads the checkpoint's files."""
        return cls(
            checkpoint_sha256(options.checkpoint),
            tuple(sorted(options.formats)),
            options.largest_face,
            options.min_face,
            options.min_score,
            " ".join((str(options.texture_size or "auto"), options.material, *asdict(options.mesh).values())),
            options.hair,
            refinement_sha256(options.refinement),
            camera_sha256(options.camera),
        )


def checkpoint_sha256(folder: Path) -> str:
    """One hash of a checkpoint: of its weights and its config, which holds the hash of the head."""
    both = "".join(file_sha256(folder / name) for name in ("weights.safetensors", "config.json"))
    return hashlib.sha256(both.encode()).hexdigest()


def refinement_sha256(request: RefineRequest) -> str:
    """One hash of a request and of the files that it names; empty if no refinement is asked for."""
    if request.level == "none":
        return ""
    asked = asdict(request) | {"config": ""}
    parts = [json.dumps(asked, sort_keys=True), file_sha256(request.config)]
    place = Path(request.landmarks)
    if request.landmarks != NETWORK_LANDMARKS and request.landmarks not in DETECTORS:
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        parts += [f"{path.relative_to(place)} {file_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def camera_sha256(request: CameraRequest) -> str:
    """One hash of what is said of the camera and of the file that it names; empty if nothing is said."""
    if not request.given:
        return ""
    content = "" if request.intrinsics is None else file_sha256(request.intrinsics)
    return hashlib.sha256(f"{request.fov} {request.focal_px} {content}".encode()).hexdigest()


def write_record(output: Path, entry: ImageEntry, source: Place, fingerprint: Fingerprint, run: str = "") -> None:
    """Mark an image as finished, by the run of this name."""
    folder = output / entry.key
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "format": RECORD_FORMAT,
        "run": run,
        "fingerprint": asdict(fingerprint),
        "source": stamp(source),
        "entry": asdict(entry),
    }
    write_json(folder / RECORD_NAME, record)


def finished_entry(
    output: Place, item: InputImage, fingerprint: Fingerprint, run: str | None = None
) -> ImageEntry | None:
    """The entry of an image that an earlier run finished, if its files are all still as they were written.

    Args:
        output: The output folder.
        item: The image.
        fingerprint: Of this run.
        run: Name of the only run that counts; None for any.

    Returns:
        The earlier entry, or None if anything is missing, damaged or was made from something else.
    """
    try:
        record: dict[str, Any] = json.loads(read_part(output / item.key / RECORD_NAME))
        expected = {"format": RECORD_FORMAT, "fingerprint": asdict(fingerprint), "source": stamp(item.path)}
        # Through JSON, since there a tuple is a list.
        if {name: record[name] for name in expected} != json.loads(json.dumps(expected)):
            return None
        if run not in (None, record.get("run")):
            return None
        entry = entry_from_dict(record["entry"])
        intact = all(_is_intact(output / face.folder, face) for face in entry.faces)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return entry if intact else None


def file_stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size in bytes and CRC-32 of the visible files of a folder."""
    stamps = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            content = path.read_bytes()
            stamps[path.name] = (len(content), zlib.crc32(content))
    return stamps


def _is_intact(folder: Place, face: FaceEntry) -> bool:
    """Whether a face's files are as they were written; of those that are not here, by their sizes."""
    if isinstance(folder, Path):
        return face.files.items() <= file_stamps(folder).items()
    return {name: size for name, (size, _) in face.files.items()}.items() <= sizes(folder).items()
