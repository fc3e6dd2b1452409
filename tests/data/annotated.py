"""A folder of annotated photographs as `data.readers` finds it."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.data_scenes import face_points, smooth_picture


def jpeg(image: np.ndarray) -> bytes:
    """An encoded photograph."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def make_annotated(
    folder: Path, names: Sequence[str], *, persons: Sequence[str] | None = None, **changes: Any
) -> dict[str, np.ndarray]:
    """A folder of annotated tars with one face each; `changes` replace columns of the annotations, or `points`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(names)
    points = changes.pop("points", np.stack([face_points()] * count))
    mesh = np.concatenate((np.tile(face_points()[:, :2], (8, 1))[:478], np.zeros((478, 1))), axis=1)
    center = np.full((count, 3), 80.0, np.float32)
    rows: dict[str, np.ndarray] = {
        "name": np.array(names),
        "identity": np.array(persons or [""] * count),
        "source": np.array([name.split("/")[0] for name in names]),
        "has_mesh": np.ones(count, bool),
        "mesh_residual": np.repeat(np.round((mesh - 80.0) * 4).T[..., None], count, axis=2).astype(np.int16),
        "mesh_mean": np.zeros((478, 3), np.float32),
        "mesh_scale": np.ones(count, np.float32),
        "mesh_center": center,
        "mesh_disagreement": np.full(count, np.nan, np.float32),
    }
    reliable = changes.pop("reliable", np.ones(count, bool))
    np.savez(folder / "annotations.npz", **(rows | changes))  # pyright: ignore[reportArgumentType]
    np.savez(
        folder / "landmarks68.npz",
        points_eighth_px=np.round(points * 8).transpose(1, 2, 0).astype(np.int16),
        reliable=reliable,
    )
    with tarfile.open(folder / "photos-00.tar", "w") as archive:
        for number, name in enumerate(names):
            content = jpeg(smooth_picture() if number % 2 else smooth_picture()[..., :1].repeat(3, 2))
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return rows
