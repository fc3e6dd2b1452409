"""The LightningModule: one step of training, one of validation, the optimiser."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from data.sample import FaceBatch, join
from model.checkpoint import file_sha256
from model.face.hierarchy import load_hierarchy
from model.geometry.camera import project
from model.geometry.procrustes import align_similarity
from model.geometry.vertex_sampling import sample_at_vertices
from model.identity import IdentityNetwork, build_identity_network
from model.losses.objective import (
    LossTables,
    Terms,
    distillation_terms,
    geometric_terms,
    identity_terms,
    loop_back_terms,
    multiview_terms,
    photometric_terms,
    refinement_terms,
    shape_terms,
    swapped_identity_terms,
    total,
)
from model.losses.photometric import residual_srgb
from model.losses.swapped_identity import swap_within_person
from model.observation import Observation
from model.parameters import FaceParameters
from model.reconstructor import Reconstruction, Reconstructor
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer, Rendering
from training.config import Experiment
from training.drawn_truth import NEUTRAL_KEY, VERTICES_KEY
from training.freezing import freeze_stages
from training.metrics import WeightedMeans
from training.samples import first_samples, last_samples
from training.synthetic_geometry import (
    PARAMETERS_KEY,
    SyntheticGeometry,
    geometry_weight,
    synthetic_loader,
)

_WIDEST_EMBEDDING = 512
"""Numbers in the longest of the recognition networks' embeddings; a shorter one is answered by the first of them."""

_TURNS = (("nme_0-30", 0, 30), ("nme_30-60", 30, 60), ("nme_60-90", 60, 91))
"""Metric, and the degrees of yaw that it is about."""


class TrainingModule(LightningModule):
    """Trains a reconstructor by its landmarks and, when the config asks for it, by its rendering and drawn heads."""

    geometry_weight: Float[Tensor, " vertex"]

    def __init__(self, experiment: Experiment, reconstructor: Reconstructor) -> None:
        """Take the run's description and the model it trains."""
        super().__init__()
        self.experiment = experiment
        self.reconstructor = reconstructor
        self.renderer = Renderer(build_rasterizer("auto"))
        self.validated = WeightedMeans([*(name for name, _, _ in _TURNS), "nme", "residual"])
        self.tables = LossTables(reconstructor.morphable_model)
        self.register_buffer("geometry_weight", geometry_weight(reconstructor.morphable_model), persistent=False)
        self.teacher_layer: nn.Linear | None = None
        if experiment.loss.identity_distillation > 0.0:
            width = reconstructor.backbone.feature_count + reconstructor.backbone.place_count
            self.teacher_layer = nn.Linear(width, _WIDEST_EMBEDDING)
        self._synthetic: Iterator[dict[str, Any]] | None = None
        # In a list, so that it is no submodule: a yardstick is neither averaged nor saved with each checkpoint.
        self._networks: list[IdentityNetwork] = []
        # In a list for the same reason: they are parts of the reconstructor already.
        self._frozen: list[nn.Module] = freeze_stages(reconstructor.backbone.network, experiment.frozen_stages)
        if experiment.freeze_encoder:
            for part in (reconstructor.backbone, reconstructor.parameter_head):
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
                head_sha256=file_sha256(self.experiment.head),
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
        drawn = None if self._synthetic is None else next(self._synthetic)
        terms = self._terms(batch, drawn)
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
        if self.experiment.loss.renders:
            rendering = self._render(reconstruction, observation.intrinsics_px)
            mask = _comparable(observation, rendering)
            residual = residual_srgb(rendering.image_linear, observation.image_srgb, observation.color)
            self.validated.add("residual", residual.flatten(), mask.flatten())

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

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, decay on matrices only, warm-up and cosine to 1 % per step."""
        config = self.experiment.optimizer
        backbone = self._groups(self.reconstructor.backbone, config.learning_rate)
        head_rate = config.learning_rate * config.head_learning_rate_factor
        groups = backbone + self._groups(self.reconstructor.parameter_head, head_rate)
        if self.teacher_layer is not None:
            groups += self._groups(self.teacher_layer, head_rate)
        if self.reconstructor.refinement_head is not None:
            groups += self._groups(self.reconstructor.refinement_head, head_rate)
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

    def _terms(self, batch: dict[str, Any], drawn: dict[str, Any] | None) -> Terms:
        config, reconstructor = self.experiment.loss, self.reconstructor
        photographs = len(batch["image_srgb"])
        # One batch, not two: batch normalisation shall not be able to tell photographs and drawings apart.
        every = batch if drawn is None else join(cast(FaceBatch, batch), self._on_device(drawn))
        observation = Observation.from_dict(every)
        features = reconstructor.features(observation.image_srgb)
        reconstruction = reconstructor.read(features, observation.image_srgb, observation.intrinsics_px)
        # Losses and drawing work in single precision; autocast is for the networks.
        with torch.autocast(self.device.type, enabled=False):
            points_mm = reconstructor.morphable_model.landmarks(reconstruction.mesh.vertices_camera_mm, "mediapipe478")
            dense = project(points_mm, observation.intrinsics_px)
            terms = geometric_terms(config, observation, reconstruction, dense, self.tables)
            terms |= self._distillation_terms(observation, features)
            terms |= self._swapped_terms(observation, reconstruction)
            terms |= multiview_terms(config, observation, reconstruction, self.tables)
            if reconstruction.refinement is not None:
                skin = _skin(observation, reconstruction)
                terms |= refinement_terms(config, reconstruction.refinement, self.tables, skin)
            if config.renders:
                shown = self.experiment.rendered_photographs or len(observation.image_srgb)
                terms |= self._rendered_terms(first_samples(observation, shown), first_samples(reconstruction, shown))
            if drawn is not None:
                terms |= self._drawn_terms(last_samples(reconstruction, photographs), drawn)
        return terms

    def _rendered_terms(self, observation: Observation, reconstruction: Reconstruction) -> Terms:
        config = self.experiment.loss
        rendering = self._render(reconstruction, observation.intrinsics_px)
        mask = _comparable(observation, rendering)
        terms = photometric_terms(config, observation, reconstruction, rendering, mask, self.tables)
        stored = self.experiment.identity_network.stored
        return terms | identity_terms(config, observation, rendering, self._identity_network(), stored=stored)

    def _identity_network(self) -> IdentityNetwork | None:
        """The recognition network on the module's device, None where no loss asks it."""
        if self.experiment.loss.identity == 0.0:
            return None
        if not self._networks:
            network = build_identity_network(self.experiment.identity_network.network)
            self._networks.append(network.to(self.device))
        return self._networks[0]

    def _distillation_terms(self, observation: Observation, features: Float[Tensor, "batch feature"]) -> Terms:
        if self.teacher_layer is None:
            return {}
        return distillation_terms(self.experiment.loss, observation, self.teacher_layer(features))

    def _swapped_terms(self, observation: Observation, reconstruction: Reconstruction) -> Terms:
        if self.experiment.loss.swapped_identity == 0.0:
            return {}
        parameters = reconstruction.parameters
        identity, changed = swap_within_person(parameters.identity, observation.identity)
        swapped = replace(parameters, identity=identity)
        points = (
            self.reconstructor.landmarks_image(swapped, observation.intrinsics_px, name)
            for name in ("ibug68", "mediapipe478")
        )
        return swapped_identity_terms(self.experiment.loss, observation, changed, *points)

    def _drawn_terms(self, reconstruction: Reconstruction, drawn: dict[str, Any]) -> Terms:
        """Terms of drawn heads: their shape, and the parameters they were drawn from where these are known."""
        config, model = self.experiment.loss, self.reconstructor.morphable_model
        truth_mm, neutral_mm = drawn[VERTICES_KEY].to(self.device), drawn[NEUTRAL_KEY].to(self.device)
        error_mm = align_similarity(reconstruction.mesh.vertices_mm, truth_mm, self.geometry_weight) - truth_mm
        at_rest_mm = model.neutral_mm(reconstruction.parameters.identity)
        neutral_error_mm = align_similarity(at_rest_mm, neutral_mm, self.geometry_weight) - neutral_mm
        refinement = reconstruction.refinement
        sigma_mm = None if refinement is None else refinement.sigma_mm
        terms = shape_terms(config, error_mm, neutral_error_mm, self.geometry_weight, sigma_mm)
        if PARAMETERS_KEY not in drawn:
            return terms
        true = FaceParameters(**{name: value.to(self.device) for name, value in vars(drawn[PARAMETERS_KEY]).items()})
        return terms | loop_back_terms(config, reconstruction.parameters, true)

    def _on_device(self, drawn: dict[str, Any]) -> FaceBatch:
        keys = FaceBatch.__annotations__
        moved = {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in drawn.items() if k in keys}
        return cast(FaceBatch, moved)

    def _render(self, reconstruction: Reconstruction, intrinsics_px: Float[Tensor, "batch 3 3"]) -> Rendering:
        faces, lighting = self.reconstructor.morphable_model.faces, reconstruction.parameters.lighting
        size = self.experiment.image_size
        return self.renderer.render_mesh(reconstruction.mesh, lighting, faces, intrinsics_px, size)


@torch.no_grad()
def _skin(observation: Observation, reconstruction: Reconstruction) -> Float[Tensor, "batch vertex"]:
    """Where the label expects skin at the vertices' places in the photographs."""
    vertices_image = project(reconstruction.mesh.vertices_camera_mm, observation.intrinsics_px)
    return sample_at_vertices(observation.skin_mask[:, None], vertices_image)[..., 0]


def _comparable(observation: Observation, rendering: Rendering) -> Float[Tensor, "batch size size"]:
    """Skin that the label expects and the rendering covers."""
    return observation.skin_mask * rendering.mask.detach()
