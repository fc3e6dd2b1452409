"""The LightningModule: one step of training, one of validation, the optimiser."""

import copy
import functools
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from data.sample import FaceBatch, join
from model.face.hierarchy import load_hierarchy
from model.losses.objective import Objective
from model.losses.weighting import total
from model.observation import Observation
from model.recognition import build_recognition_network
from model.reconstructor import Reconstructor
from training.config import Experiment
from training.drawn_bank import heads_drawn_alike
from training.freezing import freeze_stages
from training.metrics import WeightedMeans
from training.synthetic_geometry import SyntheticGeometry, geometry_weight, known_heads, synthetic_loader

_TURNS = (("nme_0-30", 0, 30), ("nme_30-60", 30, 60), ("nme_60-90", 60, 91))
"""Metric, and the degrees of yaw that it is about."""


class TrainingModule(LightningModule):
    """Trains a reconstructor by its landmarks and, when the config asks for it, by its rendering and drawn heads."""

    geometry_weight: Float[Tensor, " vertex"]

    def __init__(
        self, experiment: Experiment, reconstructor: Reconstructor, objective: Objective | None = None
    ) -> None:
        """Take the run's description, the model it trains, and what it minimises, by default what the run says."""
        super().__init__()
        self.experiment = experiment
        self.reconstructor = reconstructor
        self.objective = build_objective(experiment, reconstructor) if objective is None else objective
        # Under names of their own, as resumable checkpoints know them: the objective itself is no part that is saved.
        self.tables, self.teacher_layer = self.objective.tables, self.objective.teacher_layer
        self.register_buffer("geometry_weight", geometry_weight(reconstructor.morphable_model), persistent=False)
        self.validated = WeightedMeans([*(name for name, _, _ in _TURNS), "nme", "residual"])
        self._synthetic: Iterator[dict[str, Any]] | None = None
        # In a list, so that they are no submodules: they are parts of the reconstructor already.
        self._frozen: list[nn.Module] = freeze_stages(reconstructor.backbone.network, experiment.frozen_stages)
        if experiment.freeze_encoder:
            for part in reconstructor.encoder_parts():
                if part is not None:
                    part.requires_grad_(requires_grad=False)

    def on_train_start(self) -> None:
        """Start drawing heads where the run has arrived."""
        config = self.experiment.synthetic
        if config.batch_size:
            model = copy.deepcopy(self.reconstructor.morphable_model).cpu()
            hierarchy = load_hierarchy(self.experiment.hierarchy) if config.relief else None
            first = self.global_step * self.trainer.accumulate_grad_batches
            dataset = SyntheticGeometry(
                config,
                model,
                hierarchy,
                self.experiment.image_size,
                head_sha256=heads_drawn_alike(self.experiment.head),
                first=first,
                rank=self.global_rank,
                ranks=self.trainer.world_size,
            )
            self._synthetic = iter(synthetic_loader(dataset, config.workers))

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Keep a frozen encoder as it is: batch statistics would change it without any gradient."""
        if self.experiment.freeze_encoder:
            self.reconstructor.backbone.eval()
        for module in self._frozen:
            module.eval()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Float[Tensor, ""]:
        """Sum of the weighted losses of a batch of photographs, and of drawn heads behind them."""
        truth = None
        if self._synthetic is not None:
            drawn = next(self._synthetic)
            # One batch, not two: batch normalisation shall not be able to tell photographs and drawings apart.
            batch = dict(join(cast(FaceBatch, batch), _faces_of(drawn, self.device)))
            truth = known_heads(drawn, self.geometry_weight)
        observation = Observation.from_dict(batch)
        features = self.reconstructor.features(observation.image_srgb)
        reconstruction = self.reconstructor.read(features, observation.image_srgb, observation.intrinsics_px)
        terms = self.objective(observation, reconstruction, features, truth)
        # Reading a value waits for the device: only where the losses are logged too, and that is as tensors.
        loss = total(terms, check=self.global_step % self.experiment.schedule.log_every_steps == 0)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", loss.detach())
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
        for name, low, high in _TURNS:
            self.validated.add(name, nme_percent, labelled & (yaw_degrees >= low) & (yaw_degrees < high))
        self.validated.add("nme", nme_percent, labelled)
        if self.objective.config.renders:
            drawn = self.objective.inputs(observation, reconstruction)
            self.validated.add("residual", drawn.residual_srgb.flatten(), drawn.comparable.flatten())

    def on_validation_epoch_start(self) -> None:
        """Begin the means anew."""
        self.validated.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the means over all processes."""
        strategy = self.trainer.strategy
        means = self.validated.means(self.device, lambda sums: strategy.reduce(sums, reduce_op="sum"))  # pyright: ignore[reportArgumentType]
        for name, value in means.items():
            # The same on every process already: nothing is left to be synchronised.
            self.log(f"val/{name}", value, prog_bar=name == "nme", rank_zero_only=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, decay on matrices only, warm-up and cosine to 1 % per step."""
        config = self.experiment.optimizer
        head_rate = config.learning_rate * config.head_learning_rate_factor
        groups = self._groups(self.reconstructor.backbone.network, config.learning_rate)
        # What does not start from ImageNet.
        reconstructor = self.reconstructor
        fresh = reconstructor.encoder_parts()[1:]
        for part in (reconstructor.backbone.decoder, *fresh, self.teacher_layer, reconstructor.detail_head):
            groups += [] if part is None else self._groups(part, head_rate)
        # Lightning's checkpoints hold no group without parameters, and a frozen encoder has none to train.
        groups = [group for group in groups if group["params"]]
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


def build_objective(experiment: Experiment, reconstructor: Reconstructor) -> Objective:
    """What a run minimises."""
    recognition = experiment.recognition_network
    return Objective(
        experiment.loss,
        reconstructor,
        functools.partial(build_recognition_network, recognition.network),
        stored=recognition.stored,
        rendered_photographs=experiment.rendered_photographs,
    )


def _faces_of(drawn: dict[str, Any], device: torch.device) -> FaceBatch:
    """What a batch of drawn heads has in common with one of photographs, on a device."""
    keys = FaceBatch.__annotations__
    moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in drawn.items() if k in keys}
    return cast(FaceBatch, moved)
