"""Shards: tars of samples as WebDataset reads them, written here and decoded here, so that the layout has one home.

A sample is up to six members with a common key:

    KEY.jpg              a patch of the photograph: the crop window and what lies around it, within the photograph
    KEY.json             window [left, top, side] in the patch's px, weights, yaw_degrees, color, person, name, source
    KEY.landmarks68.npy  (68, 3) float32 in the patch's px      (only where there are any)
    KEY.landmarks478.npy (478, 2) float32 in the patch's px     (only where there are any)
    KEY.blendshapes.npy  (52,) uint8, weights of ARKit's blendshapes times 255  (only where there are any)
    KEY.recognition.npy  (E,) float16, a face-recognition network's embedding (only once `tools.embed_photographs` ran)

The patch is cut larger than the crop and never padded, so that augmentation turns and shifts real pixels, each sample
is resampled once, and what lies beyond the photograph's border is decided when it is read.
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from common.atomic import atomic_path
from common.old_names import SHARD_KEYS, SHARD_MEMBERS, current_keys
from common.places import Place
from data.alignment import CropWindow
from data.blendshapes import BLENDSHAPES

JPEG_QUALITY = 95
RECOGNITION_MEMBER = "recognition.npy"


@dataclass(frozen=True)
class ShardSample:
    """A face as it lies in a shard; px are the patch's.

    Attributes:
        patch_srgb: Pixels.
        window: The crop.
        landmarks68_px: iBUG's points, z towards the viewer; None where there are none.
        landmarks478_px: MediaPipe's points; None where there are none.
        landmarks68_weight: Trust in the points, 0 where there are none.
        landmarks478_weight: Trust in the mesh, 0 where there is none.
        yaw_degrees: Turn of the head, 0 where unknown.
        color: Whether the photograph has colour.
        person: Number of the person, -1 where unknown.
        name: Name of the photograph.
        source: Its collection.
        recognition_embedding: What a face-recognition network says of the photograph; None where it was not asked.
        blendshapes: Weights of ARKit's blendshapes in [0, 1] by alphabet; None where there are none.
        blendshapes_weight: Trust in them, 0 where there are none.
    """

    patch_srgb: UInt8[np.ndarray, "height width 3"]
    window: CropWindow
    landmarks68_px: Float32[np.ndarray, "68 3"] | None
    landmarks478_px: Float32[np.ndarray, "478 2"] | None
    landmarks68_weight: float
    landmarks478_weight: float
    yaw_degrees: float
    color: bool
    person: int
    name: str
    source: str
    recognition_embedding: Float32[np.ndarray, " embedding"] | None = None
    blendshapes: Float32[np.ndarray, "52"] | None = None
    blendshapes_weight: float = 0.0


def encode_sample(sample: ShardSample, jpeg: bytes | None = None) -> dict[str, bytes]:
    """The members of a sample.

    Args:
        sample: The sample.
        jpeg: The patch where it is at hand as a JPEG already, so that it is not compressed twice.
    """
    if jpeg is None:
        bgr = cv2.cvtColor(sample.patch_srgb, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    window = sample.window
    metadata = {
        "window": [window.left_px, window.top_px, window.side_px],
        "landmarks68_weight": sample.landmarks68_weight,
        "landmarks478_weight": sample.landmarks478_weight,
        "blendshapes_weight": sample.blendshapes_weight,
        "yaw_degrees": round(sample.yaw_degrees, 2),
        "color": sample.color,
        "person": sample.person,
        "name": sample.name,
        "source": sample.source,
    }
    members = {"jpg": jpeg, "json": json.dumps(metadata).encode()}
    for key, points in (("landmarks68.npy", sample.landmarks68_px), ("landmarks478.npy", sample.landmarks478_px)):
        if points is not None:
            members[key] = encode_array(points)
    if sample.blendshapes is not None:
        members["blendshapes.npy"] = encode_array(np.rint(255.0 * sample.blendshapes).astype(np.uint8))
    if sample.recognition_embedding is not None:
        members[RECOGNITION_MEMBER] = encode_embedding(sample.recognition_embedding)
    return members


def encode_embedding(embedding: Float32[np.ndarray, " embedding"]) -> bytes:
    """The member of a recognition embedding: half precision keeps its distances to three digits."""
    return encode_array(embedding.astype(np.float16))


def encode_array(array: np.ndarray) -> bytes:
    """An array as the bytes of an `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def decode_metadata(members: Mapping[str, Any]) -> dict[str, Any]:
    """What `KEY.json` says.

    Raises:
        ValueError: If it is missing or not JSON.
    """
    try:
        metadata = json.loads(members["json"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"sample {members.get('__key__')!r}: its .json is missing or broken ({error!r})") from error
    # What is no mapping is refused where its fields are read.
    return current_keys(metadata, SHARD_KEYS, "samples of shards") if isinstance(metadata, dict) else metadata


def decode_sample(members: Mapping[str, Any]) -> ShardSample:
    """Read a sample back from its members (WebDataset's dict: member suffix to bytes).

    Raises:
        ValueError: If a member is missing or broken, naming the sample.
    """
    metadata = decode_metadata(members)
    try:
        bgr = cv2.imdecode(np.frombuffer(members["jpg"], np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError("its .jpg cannot be decoded")
        return ShardSample(
            patch_srgb=cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
            window=CropWindow(*(float(value) for value in metadata["window"])),
            landmarks68_px=_points(members.get("landmarks68.npy")),
            landmarks478_px=_points(members.get("landmarks478.npy")),
            landmarks68_weight=float(metadata["landmarks68_weight"]),
            landmarks478_weight=float(metadata["landmarks478_weight"]),
            yaw_degrees=float(metadata["yaw_degrees"]),
            color=bool(metadata["color"]),
            person=int(metadata["person"]),
            name=str(metadata["name"]),
            source=str(metadata["source"]),
            recognition_embedding=_embedding(_current_members(members).get(RECOGNITION_MEMBER)),
            blendshapes=_blendshapes(members.get("blendshapes.npy")),
            # Shards made before there were any lack the weight too.
            blendshapes_weight=float(metadata.get("blendshapes_weight", 0.0)),
        )
    except (KeyError, TypeError, ValueError, EOFError, cv2.error) as error:
        raise ValueError(f"sample {members.get('__key__')!r}: {error}; prepare its shard again") from error


def _current_members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {SHARD_MEMBERS.get(name, name): content for name, content in members.items()}


def _points(content: bytes | None) -> np.ndarray | None:
    return None if content is None else np.load(io.BytesIO(content), allow_pickle=False)


def _blendshapes(content: bytes | None) -> np.ndarray | None:
    if content is None:
        return None
    weights = np.load(io.BytesIO(content), allow_pickle=False)
    if weights.dtype != np.uint8 or weights.shape != (BLENDSHAPES,):
        raise ValueError(f"its .blendshapes.npy is {weights.dtype} {weights.shape}, expected uint8 ({BLENDSHAPES},)")
    return weights.astype(np.float32) / np.float32(255.0)


def _embedding(content: bytes | None) -> np.ndarray | None:
    if content is None:
        return None
    embedding = np.load(io.BytesIO(content), allow_pickle=False)
    if embedding.ndim != 1 or embedding.dtype.kind != "f" or not np.isfinite(embedding).all():
        raise ValueError(f"its .{RECOGNITION_MEMBER} is not a row of finite numbers")
    return embedding.astype(np.float32)


def write_shard(path: Place, samples: Sequence[tuple[str, Mapping[str, bytes]]]) -> None:
    """Write a shard, atomically and reproducibly.

    Args:
        path: The tar.
        samples: Key and members of each sample; keys hold no dot.
    """
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
        for key, members in samples:
            for suffix, content in members.items():
                header = tarfile.TarInfo(f"{key}.{suffix}")
                header.size = len(content)
                header.mode = 0o644
                archive.addfile(header, io.BytesIO(content))


def read_shard(path: Path) -> dict[str, dict[str, bytes]]:
    """The members of each sample of a shard by its key, in the order of the tar.

    Raises:
        ValueError: If the tar is broken.
    """
    content: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                key, _, suffix = member.name.partition(".")
                file = archive.extractfile(member)
                if file is not None:
                    content.setdefault(key, {})[SHARD_MEMBERS.get(suffix, suffix)] = file.read()
    except tarfile.TarError as error:
        raise ValueError(f"{path}: not a readable shard ({error}); prepare it again") from error
    return content


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder, sorted.

    Raises:
        FileNotFoundError: If there is none.
    """
    # Hidden files are what an interrupted `data.prepare` left half-written.
    shards = sorted(path for path in folder.glob("*.tar") if not path.name.startswith("."))
    if not shards:
        raise FileNotFoundError(f"{folder}: holds no shards (*.tar); make them with " + "`python -m data.prepare`")
    return shards


def holds_samples(shard: Path) -> bool:
    """Whether there is anything in a shard; one that cannot be read counts, for its reader says what is wrong."""
    try:
        with tarfile.open(shard, "r:") as archive:
            return archive.next() is not None
    except (OSError, tarfile.TarError):
        return True


def refuse_nothing_held_out(held_out: Path, train: Path) -> None:
    """Refuse held-out shards without a sample: a run would validate on nothing and say nothing.

    Args:
        held_out: Folder of the held-out shards.
        train: That of the others, which are there.

    Raises:
        ValueError: Naming the folder.
    """
    remedy = "prepare again with a larger --validation_percent, or name other held-out shards"
    try:
        shards = list_shards(held_out)
    except FileNotFoundError as error:
        told = f"validation.shards: {held_out} holds no shards, though {train} does"
        raise ValueError(f"{told}: data.prepare held nothing out; {remedy}") from error
    if not any(map(holds_samples, shards)):
        raise ValueError(f"validation.shards: the shards of {held_out} hold no sample; {remedy}")
