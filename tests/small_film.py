"""Small films that tests draw themselves: heads of the morphable model that move along a known track."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.synthetic.scene import HeadScene, Lamp
from model.export.film import open_film
from model.face.morphable_model import MorphableModel
from model.geometry.camera import crop_intrinsics, default_intrinsics
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.renderer import Renderer
from training.synthetic_heads import MorphableHeadArtist

WIDTH_PX, HEIGHT_PX, RATE = 320, 240, 25.0


@dataclass(frozen=True)
class Actor:
    """A head of a film.

    Attributes:
        seed: Who it is.
        x_mm: How far to the camera's right.
        frames: In which it is there; all where None.
        moves: Whether it turns and speaks.
    """

    seed: int
    x_mm: float = 0.0
    frames: range | None = None
    moves: bool = True


def scenes(actor: Actor, model: MorphableModel, count: int) -> list[HeadScene]:
    """The actor in each frame."""
    rng = np.random.default_rng(actor.seed)
    identity = (1.2 * rng.normal(size=model.identity_count)).clip(-2.5, 2.5).astype(np.float32)
    albedo = (0.6 * rng.normal(size=model.albedo_count)).astype(np.float32)
    lamp = Lamp(np.array([0.5, 0.6, 0.62], np.float32), np.full(3, 0.6, np.float32))
    drawn = []
    for number in range(count):
        phase = 2.0 * np.pi * number / 40.0 if actor.moves else 0.0
        weights = np.zeros(model.expression_count, np.float32)
        weights[model.expression_names.index("jawOpen")] = 0.4 * max(np.sin(2.0 * phase), 0.0)
        angles = np.array([0.25 * np.sin(phase), 0.05, 0.0], np.float32)
        place = np.array([actor.x_mm + 8.0 * np.sin(phase), 0.0, -900.0], np.float32)
        ambient, hair = np.full(3, 0.45, np.float32), np.array([0.05, 0.03, 0.02], np.float32)
        drawn.append(HeadScene(identity, weights, albedo, angles, place, ambient, (lamp,), hair))
    return drawn


def film_frames(actors: list[Actor], model: MorphableModel, count: int, noise: float = 2.0) -> list[np.ndarray]:
    """The pictures of a film, with noise that differs from frame to frame."""
    artist = MorphableHeadArtist(model, Renderer(build_rasterizer()))
    played = [scenes(actor, model, count) for actor in actors]
    camera = default_intrinsics(HEIGHT_PX, WIDTH_PX)
    ramp = np.linspace(0.1, 0.4, WIDTH_PX, dtype=np.float32)[None, :, None]
    pictures = []
    for number in range(count):
        picture = np.broadcast_to(ramp, (HEIGHT_PX, WIDTH_PX, 3)).copy()
        for actor, roles in zip(actors, played, strict=True):
            if actor.frames is None or number in actor.frames:
                _draw(picture, artist, roles[number], camera)
        srgb = 255.0 * linear_to_srgb(torch.from_numpy(picture).clamp(0.0, 1.0)).numpy()
        srgb += np.random.default_rng(number).normal(0.0, noise, srgb.shape)
        pictures.append(np.rint(srgb.clip(0.0, 255.0)).astype(np.uint8))
    return pictures


def write_film(pictures: list[np.ndarray], path: Path, rate: float = RATE) -> Path:
    """Write pictures as a film of good quality."""
    height, width = pictures[0].shape[:2]
    with open_film(path, (width, height), rate, quality=12) as film:
        for number, picture in enumerate(pictures):
            film.write(picture, number / rate)
    return path


def _draw(picture: np.ndarray, artist: MorphableHeadArtist, scene: HeadScene, camera: torch.Tensor) -> None:
    focal_px, x_mm, depth_mm = float(camera[0, 0]), float(scene.translation_mm[0]), -float(scene.translation_mm[2])
    side = round(330.0 * focal_px / depth_mm)
    left = round(0.5 * WIDTH_PX + focal_px * x_mm / depth_mm - 0.5 * side)
    top = round(0.5 * HEIGHT_PX - 0.4 * side)
    own = crop_intrinsics(camera, float(left), float(top), 1.0).numpy().astype(np.float32)
    drawing = artist.draw(scene, own, side)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, WIDTH_PX), min(top + side, HEIGHT_PX)
    part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    under = picture[y0:y1, x0:x1]
    picture[y0:y1, x0:x1] = under * (1.0 - drawing.coverage[part][..., None]) + drawing.image_linear[part]
