"""A training module without a trainer."""

from typing import Any

import torch

from data.sample import collate
from data.synthetic import SyntheticConfig, SyntheticFaces
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tests.small_world import IMAGE_SIZE, toy_reconstructor
from training.module import TrainingModule
from training.synthetic_heads import MorphableHeadArtist


def quiet(module: TrainingModule) -> dict[str, torch.Tensor]:
    """Log into a dict, without a trainer."""
    logged: dict[str, torch.Tensor] = {}
    module.log = lambda name, value, **options: logged.update({name: value})  # type: ignore[method-assign]
    module.log_dict = lambda values, **options: logged.update(values)  # type: ignore[method-assign]
    return logged


def drawn_batch(count: int) -> dict[str, Any]:
    """The first so many drawn faces of the toy head."""
    artist = MorphableHeadArtist(toy_reconstructor().morphable_model, Renderer(build_rasterizer()))
    faces = SyntheticFaces(artist, SyntheticConfig(size=IMAGE_SIZE))
    return dict(collate([faces.face(index).sample for index in range(count)]))
