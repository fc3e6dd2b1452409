"""Draw synthetic faces into a folder, to look at them.

    python -m tools.synthesize --count 32 --output runs/synthetic [--head HEAD] [--size 112] [--seed 0]

Writes `<name>.png`, `<name>.npz` (the labels, and what the face was drawn from) and `sheet.jpg`, where the landmarks
are drawn over all of them: the 68 in green, MediaPipe's in blue, hidden skin darkened.
"""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from common.atomic import atomic_path
from common.paths import DEFAULT_HEAD
from data.sample import FaceSample
from data.synthetic import HeadScene, SyntheticConfig, SyntheticFaces
from model.face.assets import load_head
from model.face.morphable_model import MorphableModel
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tools.command import run_tool
from training.synthetic_heads import MorphableHeadArtist

_COLUMNS, _TILE_PX = 8, 224


def synthesize(
    output: Path,
    count: int = 32,
    head: Path = DEFAULT_HEAD,
    size: int = 112,
    seed: int = 0,
    pictures_per_person: int = 1,
) -> None:
    """Draw faces.

    Args:
        output: Folder to write to, made if missing.
        count: How many.
        head: Morphable-model file.
        size: Side of the pictures in px.
        seed: Of everything random.
        pictures_per_person: How many samples share an identity.
    """
    artist = MorphableHeadArtist(MorphableModel(load_head(head)), Renderer(build_rasterizer()))
    faces = SyntheticFaces(artist, SyntheticConfig(size=size, seed=seed, pictures_per_person=pictures_per_person))
    output.mkdir(parents=True, exist_ok=True)
    tiles: list[np.ndarray] = []
    for index in track(range(count), "drawing"):
        face = faces.face(index)
        name = face.sample["name"]
        with atomic_path(output / f"{name}.png") as temporary:
            cv2.imwrite(str(temporary), _bgr(face.sample))
        with atomic_path(output / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, **_labels(face.sample), **_truth(face.scene))
        tiles.append(draw_labels(face.sample))
    with atomic_path(output / "sheet.jpg") as temporary:
        cv2.imwrite(str(temporary), _sheet(tiles))


def draw_labels(sample: FaceSample) -> np.ndarray:
    """A sample enlarged, with its landmarks, BGR uint8."""
    scale = _TILE_PX / sample["skin_mask"].shape[0]
    visible = 0.6 + 0.4 * sample["skin_mask"][..., None]
    tile = cv2.resize((_bgr(sample) * visible).astype(np.uint8), (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_LINEAR)
    for points_px, colour in ((sample["landmarks478_px"], (255, 96, 0)), (sample["landmarks68_px"], (0, 255, 0))):
        # Sixteenths of a pixel, and OpenCV's pixel centres at whole numbers.
        for x, y in np.rint(16.0 * (points_px[:, :2] * scale - 0.5)).astype(int):
            cv2.circle(tile, (int(x), int(y)), 16, colour, -1, cv2.LINE_AA, 4)
    return tile


def _bgr(sample: FaceSample) -> np.ndarray:
    return np.ascontiguousarray(np.rint(255.0 * sample["image_srgb"].transpose(1, 2, 0)[..., ::-1]).astype(np.uint8))


def _labels(sample: FaceSample) -> dict[str, Any]:
    return {key: value for key, value in sample.items() if key != "image_srgb"}


def _truth(scene: HeadScene) -> dict[str, Any]:
    arrays = {f"truth.{field.name}": getattr(scene, field.name) for field in dataclasses.fields(scene)}
    lamps, hair = arrays.pop("truth.lamps"), arrays.pop("truth.hair_linear")
    arrays["truth.lamp_direction"] = np.stack([lamp.direction for lamp in lamps])
    arrays["truth.lamp_strength"] = np.stack([lamp.strength for lamp in lamps])
    return arrays if hair is None else arrays | {"truth.hair_linear": hair}


def _sheet(tiles: list[np.ndarray]) -> np.ndarray:
    empty = np.zeros_like(tiles[0])
    tiles = tiles + [empty] * (-len(tiles) % _COLUMNS)
    return np.concatenate([np.concatenate(tiles[i : i + _COLUMNS], axis=1) for i in range(0, len(tiles), _COLUMNS)])


if __name__ == "__main__":
    run_tool(synthesize)
