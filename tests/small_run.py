"""A training run in the small world: a head, shards of drawn faces and a config that takes seconds."""

from functools import cache
from pathlib import Path

import numpy as np
import yaml

from data.alignment import CropWindow
from data.shards import ShardSample, encode_sample, write_shard
from data.synthetic import SyntheticConfig, SyntheticFaces
from model.face.assets import save_head
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import BACKBONE, IMAGE_SIZE, toy_head, toy_reconstructor
from training.synthetic_heads import MorphableHeadArtist


def make_place(
    place: Path, train_shards: int = 1, val_shards: int = 1, *, train_faces: int = 8, batch: int = 4, of_person: int = 0
) -> Path:
    """Write `head.safetensors`, `train/` and `val/` with 12 faces together and `tiny.yaml` into a folder.

    Args:
        place: The folder.
        train_shards: Shards in `train/`.
        val_shards: Shards in `val/`.
        train_faces: How many of the faces lie in `train/`.
        batch: Faces in a batch.
        of_person: How many faces in a row are said to be one person; 0 where nobody is known.
    """
    save_head(toy_head(), place / "head.safetensors")
    samples = _samples(of_person)
    for folder, part, count in (
        ("train", samples[:train_faces], train_shards),
        ("val", samples[train_faces:], val_shards),
    ):
        (place / folder).mkdir()
        for number in range(count):
            write_shard(place / folder / f"shard-{number:03d}.tar", part[number::count])
    loader = {"size": IMAGE_SIZE, "batch_size": batch, "workers": 0, "shuffle_buffer": 4}
    config = {
        "head": str(place / "head.safetensors"),
        "image_size": IMAGE_SIZE,
        "encoder": {"backbone": BACKBONE},
        "train": {"shards": str(place / "train"), **loader},
        "validation": {"shards": str(place / "val"), "training": False, **loader},
        "optimizer": {"warmup_steps": 1},
        "loss": {"photometric": 1.0},
        "schedule": {"max_steps": 2, "validate_every_steps": 2, "log_every_steps": 1},
        "trainer": {"accelerator": "cpu", "compile": False},
    }
    (place / "tiny.yaml").write_text(yaml.safe_dump(config))
    return place


@cache
def _samples(of_person: int) -> list[tuple[str, dict[str, bytes]]]:
    """Twelve faces as shards hold them; drawn once, since a drawing takes longer than most tests."""
    model = toy_reconstructor().morphable_model
    faces = SyntheticFaces(MorphableHeadArtist(model, Renderer(build_rasterizer())), SyntheticConfig(size=IMAGE_SIZE))
    return [(f"face{index}", encode_sample(stored(faces, index, of_person))) for index in range(12)]


def stored(faces: SyntheticFaces, index: int, of_person: int = 0) -> ShardSample:
    """A drawn face as it lies in a shard."""
    sample = faces.face(index).sample
    return ShardSample(
        patch_srgb=np.rint(255.0 * sample["image_srgb"].transpose(1, 2, 0)).astype(np.uint8),
        window=CropWindow(0.0, 0.0, float(IMAGE_SIZE)),
        landmarks68_px=sample["landmarks68_px"],
        landmarks478_px=sample["landmarks478_px"],
        landmarks68_weight=1.0,
        landmarks478_weight=1.0,
        yaw_degrees=0.0,
        color=sample["color"],
        person=index // of_person if of_person else -1,
        name=sample["name"],
        source="synthetic",
        blendshapes=sample["blendshapes"],
        blendshapes_weight=sample["blendshapes_weight"],
    )


def arguments(place: Path, output: str, *more: str) -> list[str]:
    """The command line of a run in such a folder."""
    return ["--config", str(place / "tiny.yaml"), "--output", str(place / output), *more]
