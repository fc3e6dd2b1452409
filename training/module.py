"""The LightningModule: one step of training, one of validation, the optimiser."""

import math
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from model.losses.objective import LossTables, geometric_terms, photometric_terms, total
from model.losses.photometric import residual_srgb
from model.observation import Observation
from model.reconstructor import Reconstruction, Reconstructor
from model.render.rasterizer import build_rasterizer
from model.render.renderer import Renderer, Rendering
from training.config import Experiment


class TrainingModule(LightningModule):
    """Trains a reconstructor by its landmarks and, when the config asks for it, by its rendering."""

    def __init__(self, experiment: Experiment, reconstructor: Reconstructor) -> None:
        """Take the run's description and the model it trains."""
        super().__init__()
        self.experiment = experiment
        self.reconstructor = reconstructor
        self.renderer = Renderer(build_rasterizer("auto"))
        self.tables = LossTables(reconstructor.morphable_model)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Float[Tensor, ""]:
        """Sum of the weighted losses of a batch."""
        observation = Observation.from_dict(batch)
        terms = self._terms(observation)
        loss = total(terms)
        # Logged as tensors: reading their value would wait for the device at each step.
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """NME of the 68 points in percent by the visible turn of the head, and the photometric residual."""
        observation = Observation.from_dict(batch)
        reconstruction = self.reconstructor(observation.image_srgb, observation.intrinsics_px)
        difference_px = reconstruction.landmarks68_image[..., :2] - observation.landmarks68_px[..., :2]
        # The measure of the benchmarks, without the rounded corner of the loss.
        nme_percent = 100.0 * difference_px.norm(dim=-1).mean(1) / observation.box_px
        yaw_degrees = torch.rad2deg(torch.asin(reconstruction.parameters.rotation[:, 0, 2].clamp(-1, 1))).abs()
        labelled = observation.landmarks68_weight > 0
        for name, low, high in (("0-30", 0, 30), ("30-60", 30, 60), ("60-90", 60, 91)):
            chosen = labelled & (yaw_degrees >= low) & (yaw_degrees < high)
            if chosen.any():
                self.log(f"val/nme_{name}", nme_percent[chosen].mean(), batch_size=int(chosen.sum()), on_epoch=True)
        self.log("val/nme", nme_percent[labelled].mean(), batch_size=int(labelled.sum()), prog_bar=True)
        if self.experiment.loss.renders:
            rendering = self._render(reconstruction, observation.intrinsics_px)
            mask = _comparable(observation, rendering)
            residual = residual_srgb(rendering.image_linear, observation.image_srgb, observation.color)
            self.log("val/residual", (residual * mask).sum() / mask.sum().clamp(min=1.0), batch_size=len(mask))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, decay on matrices only, warm-up and cosine to 1 % per step."""
        config = self.experiment.optimizer
        backbone = self._groups(self.reconstructor.backbone, config.learning_rate)
        head_rate = config.learning_rate * config.head_learning_rate_factor
        groups = backbone + self._groups(self.reconstructor.parameter_head, head_rate)
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
        # A function of the step alone: a resumed run with another length follows the new cosine, where the chained
        # schedulers of torch would bring the old one back with their state, and rise again after its end.
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._rate_factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate_factor(self, step: int) -> float:
        """Learning rate over its peak at an optimiser step."""
        warmup, total_steps = self.experiment.optimizer.warmup_steps, self.experiment.schedule.max_steps
        if step < warmup:
            return 0.01 + 0.99 * step / warmup
        progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))

    def _groups(self, module: nn.Module, rate: float) -> list[dict[str, Any]]:
        parameters = [p for p in module.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        decay = self.experiment.optimizer.weight_decay
        return [
            {"params": matrices, "lr": rate, "weight_decay": decay},
            {"params": vectors, "lr": rate, "weight_decay": 0.0},
        ]

    def _terms(self, observation: Observation) -> dict[str, Float[Tensor, ""]]:
        config = self.experiment.loss
        reconstructor = self.reconstructor
        reconstruction = reconstructor(observation.image_srgb, observation.intrinsics_px)
        dense = reconstructor.landmarks_image(reconstruction.parameters, observation.intrinsics_px, "mediapipe478")
        terms = geometric_terms(config, observation, reconstruction, dense, self.tables)
        if config.renders:
            rendering = self._render(reconstruction, observation.intrinsics_px)
            mask = _comparable(observation, rendering)
            terms |= photometric_terms(config, observation, reconstruction, rendering, mask, self.tables)
        return terms

    def _render(self, reconstruction: Reconstruction, intrinsics_px: Float[Tensor, "batch 3 3"]) -> Rendering:
        size = self.experiment.image_size
        return self.renderer.render(
            reconstruction.mesh.vertices_camera_mm,
            reconstruction.mesh.albedo_linear,
            reconstruction.parameters.lighting,
            self.reconstructor.morphable_model.faces,
            intrinsics_px,
            size,
            size,
        )


def _comparable(observation: Observation, rendering: Rendering) -> Float[Tensor, "batch size size"]:
    """Skin that the label expects and the rendering covers."""
    return observation.skin_mask * rendering.mask.detach()
