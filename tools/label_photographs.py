"""Give the faces of shards landmarks, as a trained model sees them.

    python -m data.prepare PHOTOS --output shards
    python -m tools.label_photographs shards [--checkpoint checkpoints/likeness-s] [--device auto]

`data.prepare` finds faces in plain photographs, but knows no landmarks. Without any, training has only the rendering
to go by, and pose drifts; with those of a released model it starts near the truth, and the rendering does the rest.
Faces that have landmarks are left as they are, so it can be interrupted and started again.
"""

import argparse
import dataclasses
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from rich.console import Console
from rich.progress import track

from common.paths import DEFAULT_CHECKPOINT
from data.alignment import window_from_landmarks
from data.landmarks import yaw_from_landmarks
from data.shards import ShardSample, decode_sample, encode_sample, list_shards, write_shard
from inference.faces import FaceReconstructor, FaceRequest
from inference.options import CommandLineError
from inference.setup import choose_device, load_model
from model.geometry.camera import project

FRONTAL_DEGREES = 30.0
"""Up to here the 478 points are labels too: beyond, half of them are hidden."""

_BATCH = 16


def label_shard(path: Path, faces: FaceReconstructor) -> int:
    """Label the faces of a shard that have no landmarks, in place.

    Returns:
        How many it labelled.
    """
    content = _read(path)
    waiting = [(key, decode_sample({"__key__": key, **members})) for key, members in content.items()]
    waiting = [(key, sample) for key, sample in waiting if sample.landmarks68_px is None]
    for start in range(0, len(waiting), _BATCH):
        some = waiting[start : start + _BATCH]
        for (key, _), labelled in zip(some, label(faces, [sample for _, sample in some]), strict=True):
            # The pixels as they were: compressing them again would lose some.
            content[key] = encode_sample(labelled, content[key]["jpg"])
    if waiting:
        write_shard(path, list(content.items()))
    return len(waiting)


def label(faces: FaceReconstructor, samples: list[ShardSample]) -> list[ShardSample]:
    """The same samples with landmarks, the turn of the head, and the window around the landmarks."""
    requests = [FaceRequest.in_photograph(sample.patch_srgb, sample.window) for sample in samples]
    model = faces.reconstructor.morphable_model
    labelled = []
    for sample, request, answer in zip(samples, requests, faces.reconstruct(requests), strict=True):
        points68 = _label_points(answer.landmarks68_image[0], float(request.intrinsics_px[0, 0]))
        with torch.inference_mode():
            vertices_mm = answer.mesh.vertices_camera_mm.to(model.mean_mm.device)
            points478_mm = model.landmarks(vertices_mm, "mediapipe478").cpu()
        yaw_degrees = float(np.degrees(yaw_from_landmarks(points68)))
        labelled.append(
            dataclasses.replace(
                sample,
                window=window_from_landmarks(points68[:, :2]),
                landmarks68_px=points68,
                landmarks68_weight=1.0,
                landmarks478_px=project(points478_mm, request.intrinsics_px[None])[0, :, :2].numpy(),
                landmarks478_weight=1.0 if abs(yaw_degrees) < FRONTAL_DEGREES else 0.0,
                yaw_degrees=yaw_degrees,
            )
        )
    return labelled


def _label_points(points_image: Float[torch.Tensor, "68 3"], focal_px: float) -> Float32[np.ndarray, "68 3"]:
    """From depth in mm to the labels' z: px of the same scale, towards the viewer, zero mean."""
    points = points_image.numpy().astype(np.float32)
    depth_mm = points[:, 2]
    height = depth_mm.mean() - depth_mm
    return np.concatenate((points[:, :2], (height * focal_px / depth_mm.mean())[:, None]), axis=1)


def _read(path: Path) -> dict[str, dict[str, bytes]]:
    """The members of each sample by its key, in the order of the shard."""
    content: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            key, suffix = member.name.split(".", 1)
            file = archive.extractfile(member)
            if file is not None:
                content.setdefault(key, {})[suffix] = file.read()
    return content


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="what `data.prepare` wrote: train/ and val/, or one of them")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint folder")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args(arguments)
    try:
        folders = [options.shards / name for name in ("train", "val") if (options.shards / name).is_dir()]
        paths = [path for folder in folders or [options.shards] for path in list_shards(folder)]
        device = choose_device(options.device)
        faces = FaceReconstructor(load_model(options.checkpoint, device), device)
        count = sum(label_shard(path, faces) for path in track(paths, "shards", console=Console(stderr=True)))
    except (OSError, ValueError, tarfile.TarError, CommandLineError) as error:
        sys.exit(f"tools.label_photographs: {error}")
    print(f"labelled {count} faces in {len(paths)} shards")


if __name__ == "__main__":
    main()
