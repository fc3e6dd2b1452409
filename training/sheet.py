"""A picture of how a model sees some held-out faces: photograph, rendering, geometry, albedo, light."""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from common.atomic import atomic_path
from data.loader import build_loader
from data.loader_config import LoaderConfig
from model.losses.objective import Objective
from model.observation import Observation
from model.reconstructor import Reconstructor
from model.render.color import linear_to_srgb
from model.render.lighting import shade
from model.render.renderer import Renderer

COLUMNS = ("photograph", "rendering", "geometry", "albedo", "light")
_FACES = 6
_TITLE_PX = 16
_HEADLIGHT = (0.3, 0.4, 0.866)
"""Where the light on the grey geometry comes from, camera space: from above the camera's right shoulder."""
_BALL_ALBEDO = 0.5


@torch.no_grad()
def draw_sheet(
    reconstructor: Reconstructor, renderer: Renderer, observation: Observation
) -> UInt8[np.ndarray, "height width 3"]:
    """One row a face, one column for each of `COLUMNS`, sRGB; the reconstructor's mode is left as it was."""
    was_training = reconstructor.training
    reconstructor.eval()
    try:
        reconstruction = reconstructor(observation.image_srgb, observation.intrinsics_px)
    finally:
        reconstructor.train(was_training)
    size = observation.image_srgb.shape[-1]
    faces, lighting = reconstructor.morphable_model.faces, reconstruction.parameters.lighting
    rendering = renderer.render_mesh(reconstruction.mesh, lighting, faces, observation.intrinsics_px, size)
    photograph = observation.image_srgb.permute(0, 2, 3, 1)
    covered = rendering.mask[..., None]
    light = rendering.normals.new_tensor(_HEADLIGHT)
    grey = (0.15 + 0.75 * (rendering.normals @ light).clamp(min=0.0))[..., None].expand(-1, -1, -1, 3)
    seen = (rendering.face_index >= 0)[..., None]
    columns = [
        photograph,
        linear_to_srgb(rendering.image_linear.clamp(min=0.0)) * covered + photograph * (1.0 - covered),
        grey * seen,
        linear_to_srgb(rendering.albedo_linear.clamp(min=0.0)) * seen,
        _balls(lighting, size),
    ]
    rows = torch.cat([column.float().clamp(0.0, 1.0) for column in columns], dim=2).flatten(0, 1)
    pixels = np.rint(255.0 * rows.cpu().numpy()).astype(np.uint8)
    return np.concatenate((_titles(size), pixels))


def _balls(lighting: Float[Tensor, "batch 9 3"], size: int) -> Float[Tensor, "batch size size 3"]:
    """A grey ball under each light, as the camera sees it."""
    middle = (torch.arange(size, device=lighting.device) + 0.5) / (0.5 * size) - 1.0
    y, x = torch.meshgrid(-middle, middle, indexing="ij")
    x, y = x / 0.9, y / 0.9
    z = (1.0 - x.square() - y.square()).clamp(min=0.0).sqrt()
    normals = torch.stack((x, y, z), dim=-1).expand(len(lighting), -1, -1, -1)
    shading = shade(normals.flatten(1, 2), lighting).view_as(normals)
    return linear_to_srgb((_BALL_ALBEDO * shading).clamp(min=0.0)) * (z > 0.0)[..., None]


def _titles(size: int) -> UInt8[np.ndarray, "height width 3"]:
    strip = np.zeros((_TITLE_PX, size * len(COLUMNS), 3), np.uint8)
    for number, title in enumerate(COLUMNS):
        cv2.putText(strip, title, (number * size + 3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1)
    return strip


class Sheets(Callback):
    """Draws the same held-out faces every so many steps, into `sheets/step-<n>.png` of the run's folder."""

    def __init__(self, validation: LoaderConfig, folder: Path, every_steps: int) -> None:
        """Take the faces, where the pictures go and how often; 0 steps draw none."""
        self._config = dataclasses.replace(validation, workers=0, batch_size=_FACES)
        self._folder = folder
        self._every_steps = every_steps
        self._faces: Observation | None = None
        self._last_step = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, on the first process alone."""
        step = trainer.global_step
        if not trainer.is_global_zero or self._every_steps < 1 or step % self._every_steps or step == self._last_step:
            return
        self._last_step = step
        if self._faces is None:
            batch = next(iter(build_loader(self._config)))
            self._faces = Observation.from_dict(pl_module.transfer_batch_to_device(dict(batch), pl_module.device, 0))
        reconstructor, objective = pl_module.reconstructor, pl_module.objective
        assert isinstance(reconstructor, Reconstructor)
        assert isinstance(objective, Objective)
        sheet = draw_sheet(reconstructor, objective.renderer, self._faces)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"step-{step:06d}.png"
        with atomic_path(path) as temporary:
            cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("sheet", [str(path)], step=step - 1)
