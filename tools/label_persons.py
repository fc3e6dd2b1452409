"""Labels for the person network, in two steps with a matting network of one's choice between them.

    python -m tools.label_persons cut PHOTOS --output runs/persons
    (mattes of runs/persons/pictures, raw RGB of 192 x 192 px, into runs/persons/mattes: one byte a pixel, 255 = person)
    python -m tools.label_persons label runs/persons [--checkpoint checkpoints/likeness-s]

The first step squares photographs and writes them down with their landmarks; the second fits a head to each that has
a matte, labels it (`training.person_labels`) and writes `train.safetensors` and `validation.safetensors`. Pictures of
one person or series stay on one side of the two. `sheet.png` shows some labels, to be looked at.
"""

import zlib
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from jsonargparse import auto_cli
from rich.progress import track

from common.paths import DEFAULT_CHECKPOINT
from common.tensors import save_tensors
from data.alignment import window_from_landmarks
from data.readers import SourcePhotograph, read_annotated
from inference.faces import FaceReconstructor, FaceRequest
from model.checkpoint import load_reconstructor
from model.geometry.camera import project
from model.person.classes import UNKNOWN
from training.person_labels import ProjectedHead, label_person

SIDE_PX = 192
_SHARES = {"web": 0.5, "lfw": 0.17, "misc": 0.1, "aflw": 0.23}
"""Small portraits show whole heads of hair; of the others there are enough for every pose and for grey pictures."""
_VALIDATION = 0.12
_BATCH = 16
_COLORS = np.array([[60, 60, 60], [255, 170, 120], [150, 60, 200], [60, 200, 120]], np.uint8)


def cut(photos: Path, output: Path, count: int = 1500, least_px: int = 90) -> None:
    """Square some photographs and write them down.

    Args:
        photos: Folder of annotated photographs.
        output: Folder, made if missing.
        count: How many.
        least_px: Smaller photographs are left out.
    """
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    # An order without system that is the same on every machine, whatever else lies in the folder.
    found = sorted(
        (p for p in read_annotated(photos) if not p.doubt and p.labels is not None),
        key=lambda photograph: zlib.crc32(photograph.name.encode()),
    )
    left = {source: round(share * count) for source, share in _SHARES.items()}
    names, groups, points = [], [], []
    for photograph in track(found, "cutting"):
        if left.get(photograph.source, 0) == 0:
            continue
        picture = cv2.imdecode(np.frombuffer(photograph.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if picture is None or min(picture.shape[:2]) < least_px or photograph.labels is None:
            continue
        squared, landmarks_px = _squared(picture[..., ::-1], photograph.labels.landmarks68_px[:, :2])
        name = _file_name(photograph)
        (output / "pictures" / name).write_bytes(squared.tobytes())
        names.append(name)
        groups.append(photograph.group)
        points.append(landmarks_px)
        left[photograph.source] -= 1
    np.savez_compressed(output / "faces.npz", name=names, group=groups, landmarks68_px=np.stack(points))


def label(folder: Path, checkpoint: Path = DEFAULT_CHECKPOINT) -> None:
    """Fit and label every picture that has a matte.

    Args:
        folder: What `cut` wrote, and `mattes` beside its pictures.
        checkpoint: Who fits the heads.
    """
    faces = FaceReconstructor(load_reconstructor(checkpoint), torch.device("cpu"), looks=1)
    with np.load(folder / "faces.npz") as index:
        rows = list(zip(index["name"], index["group"], index["landmarks68_px"], strict=True))
    rows = [row for row in rows if (folder / "mattes" / row[0]).is_file()]
    kept: dict[str, list[dict[str, np.ndarray]]] = {"train": [], "validation": []}
    for start in track(range(0, len(rows), _BATCH), "labelling"):
        some = rows[start : start + _BATCH]
        pictures = [_raw(folder / "pictures" / name, (SIDE_PX, SIDE_PX, 3)) for name, _, _ in some]
        heads = _fit(faces, pictures, [points for _, _, points in some])
        for (name, group, points), picture, head in zip(some, pictures, heads, strict=True):
            matte = _raw(folder / "mattes" / name, (SIDE_PX, SIDE_PX))
            labels = label_person(picture, matte, head, faces.reconstructor.morphable_model)
            part = "validation" if zlib.crc32(str(group).encode()) % 1000 < 1000 * _VALIDATION else "train"
            entry = {"image_srgb": picture, "matte": matte, "label": labels, "landmarks68_px": np.float32(points)}
            kept[part].append(entry)
    for part, entries in kept.items():
        if entries:
            tensors = {key: np.stack([entry[key] for entry in entries]) for key in entries[0]}
            save_tensors(tensors, folder / f"{part}.safetensors", {"format": "likeness-person-labels-1"})
        print(f"{part}: {len(entries)} photographs")
    _draw_sheet(kept["validation"][:60], folder / "sheet.png")


def _squared(
    picture_srgb: UInt8[np.ndarray, "height width 3"], landmarks_px: Float[np.ndarray, "68 2"]
) -> tuple[UInt8[np.ndarray, "size size 3"], Float[np.ndarray, "68 2"]]:
    """A photograph in the middle of a square whose border repeats its outermost pixels."""
    height, width = picture_srgb.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = cv2.copyMakeBorder(picture_srgb, top, side - height - top, left, side - width - left, cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_CUBIC
    return cv2.resize(padded, (SIDE_PX, SIDE_PX), interpolation=how), (landmarks_px + (left, top)) * (SIDE_PX / side)


def _fit(
    faces: FaceReconstructor, pictures: list[UInt8[np.ndarray, "size size 3"]], points: list[np.ndarray]
) -> list[ProjectedHead]:
    requests = [
        FaceRequest.in_photograph(picture, window_from_landmarks(landmarks_px))
        for picture, landmarks_px in zip(pictures, points, strict=True)
    ]
    answers = faces.reconstruct(requests)
    return [
        ProjectedHead(
            project(answer.mesh.vertices_camera_mm, request.intrinsics_px[None])[0].numpy(),
            answer.landmarks68_image[0, :, :2].numpy(),
        )
        for answer, request in zip(answers, requests, strict=True)
    ]


def _file_name(photograph: SourcePhotograph) -> str:
    return photograph.name.replace("/", "-") + ".rgb"


def _raw(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "*shape"]:
    pixels = np.fromfile(path, np.uint8)
    if pixels.size != np.prod(shape):
        raise ValueError(f"{path}: {pixels.size} bytes, expected {np.prod(shape)}; write it anew")
    return pixels.reshape(shape)


def _draw_sheet(entries: list[dict[str, np.ndarray]], path: Path) -> None:
    tiles = []
    for entry in entries:
        colors = _COLORS[entry["label"] % 4]
        colors[entry["label"] == UNKNOWN] = 0
        mixed = (0.45 * entry["image_srgb"] + 0.55 * colors).astype(np.uint8)
        tiles.append(np.concatenate((entry["image_srgb"], mixed), axis=1)[:, :, ::-1])
    if tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 6)
        rows = [np.concatenate(tiles[start : start + 6], axis=1) for start in range(0, len(tiles), 6)]
        cv2.imwrite(str(path), np.concatenate(rows))


if __name__ == "__main__":
    auto_cli([cut, label], as_positional=True)
