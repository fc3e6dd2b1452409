"""What a training run is: one dataclass per part, strict, saved beside the checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.paths import DEFAULT_HEAD, DEFAULT_HIERARCHY
from common.ranges import AT_LEAST_ONE, POSITIVE, SHARE, checked
from data.loader_config import LoaderConfig
from model.encoder.config import DetailConfig, EncoderConfig
from model.losses.config import LossConfig
from model.recognition import RecognitionConfig
from training.synthetic_config import SyntheticGeometryConfig


@dataclass(frozen=True)
@checked("optimizer.", {POSITIVE: ("learning_rate",)})
class OptimizerConfig:
    """AdamW with warm-up and cosine decay.

    Attributes:
        learning_rate: Peak, for the backbone.
        head_learning_rate_factor: Factor for the network's heads (of parameters and of detail), which start from zero.
        weight_decay: Decoupled decay of the weights (not of biases and norms).
        warmup_steps: Linear warm-up.
        gradient_clip: Largest gradient norm.
    """

    learning_rate: float = 1e-3
    head_learning_rate_factor: float = 1.0
    weight_decay: float = 0.02
    warmup_steps: int = 200
    gradient_clip: float = 1.0


@dataclass(frozen=True)
@checked(
    "schedule.",
    {
        AT_LEAST_ONE: ("max_steps", "validate_every_steps", "checkpoint_every_steps", "log_every_steps"),
        SHARE: ("average_decay",),
    },
)
class ScheduleConfig:
    """How long, and what is kept on the way. Every number counts optimiser steps, however many batches make one.

    Attributes:
        max_steps: Of the whole run; the cosine ends there.
        validate_every_steps: Validation.
        checkpoint_every_steps: Resumable checkpoint; by default with each validation.
        log_every_steps: Losses, learning rate, images per second.
        average_decay: Exponential moving average of the weights, per step.
    """

    max_steps: int = 8000
    validate_every_steps: int = 500
    checkpoint_every_steps: int | None = None
    log_every_steps: int = 20
    average_decay: float = 0.999


@dataclass(frozen=True)
@checked("trainer.", {AT_LEAST_ONE: ("devices", "num_nodes", "accumulate_batches")})
class TrainerConfig:
    """On what it runs.

    Attributes:
        accelerator: Lightning's accelerator: `auto`, `cpu`, `gpu`.
        devices: Processes on each node, each with its device and its own part of the shards.
        num_nodes: Nodes; start the same command on each (Slurm and torchrun are recognised).
        precision: `bf16-mixed` runs the backbone, and it alone, in bfloat16: geometry, rendering and losses need the
            digits of float32.
        accumulate_batches: Batches of a process whose gradients make one optimiser step.
        sync_batchnorm: Batch normalisation over all processes' batches (GPUs only); worth it for batches below 16.
        compile: Compile the backbone with torch.compile (1.4 times as fast on a CPU).
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    accumulate_batches: int = 1
    sync_batchnorm: bool = False
    compile: bool = True


@dataclass(frozen=True)
@checked("logging.")
class LoggingConfig:
    """What is written beside `metrics.csv`.

    Attributes:
        wandb: Log to Weights & Biases too: online where its account is set up, else offline into the run's folder.
        project: Its project.
        sheet_every_steps: A picture of some held-out faces, as photograph, rendering, geometry, albedo and light, into
            `sheets/`; 0 for none.
    """

    wandb: bool = False
    project: str = "likeness"
    sheet_every_steps: int = 500


@dataclass(frozen=True)
class RecognitionLossConfig:
    """The recognition network of `loss.recognition`.

    Attributes:
        network: Which, and its weights.
        stored: Compare with the embeddings that lie in the shards, which must be this network's
            (`tools.embed_photographs` of a clone), instead of asking it about each photograph again.
    """

    network: RecognitionConfig = field(default_factory=RecognitionConfig)
    stored: bool = False


@dataclass(frozen=True)
@checked()
class Experiment:
    """A training run.

    Attributes:
        output: Folder of the run: logs, sheets, resumable checkpoints, `release/`.
        train: Training shards.
        validation: Held-out shards.
        head: Morphable-model file.
        image_size: Side of the crops in px.
        encoder: Backbone.
        detail: Mesh decoder; none for a model of coefficients alone.
        freeze_encoder: Train the mesh decoder alone, as DECA trains its detail stage: backbone and coefficients stay.
        frozen_stages: How many of the backbone's first stages, the stem included, are kept as they are; with the first
            three of `tf_efficientnet_lite0` a step takes 0.6 of the time on a CPU.
        hierarchy: Levels of the head's graph (`tools.build_hierarchy` of a clone), for decoder and relief.
        synthetic: Drawn heads of known shape beside the photographs.
        recognition_network: What `loss.recognition` asks whose face a rendering shows.
        start_from: Checkpoint folder whose weights training starts from, or several, of which a later one's count where
            two have the same: an encoder of one run, the mesh decoder of another.
            Weights that do not fit the model are refused.
        start_fresh: Parts (names of weights begin so) that do not start from them: the model's begin untrained, and
            what only the checkpoints have is left behind.
        rendered_photographs: How many of each batch are rendered for the losses that need it, 0 for all: a rendering
            costs as much as the network.
        loss: Weights of the losses.
        optimizer: Optimiser.
        schedule: Length and bookkeeping.
        trainer: Devices, precision, accumulation.
        logging: Logs and sheets.
        seed: Of everything random.
    """

    output: Path
    train: LoaderConfig
    validation: LoaderConfig
    head: Path = DEFAULT_HEAD
    image_size: int = 112
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    detail: DetailConfig | None = None
    freeze_encoder: bool = False
    frozen_stages: int = 0
    hierarchy: Path = DEFAULT_HIERARCHY
    synthetic: SyntheticGeometryConfig = field(default_factory=SyntheticGeometryConfig)
    recognition_network: RecognitionLossConfig = field(default_factory=RecognitionLossConfig)
    # The list first: jsonargparse writes a value down as the first type that takes it, and a path takes any text.
    start_from: tuple[Path, ...] | Path | None = None
    start_fresh: tuple[str, ...] = ()
    rendered_photographs: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a loader that cuts crops of another size than the model takes, and a run that trains nothing.

        Raises:
            ValueError: Naming the options that contradict one another.
        """
        for name in ("train", "validation"):
            size = getattr(self, name).size
            if size != self.image_size:
                raise ValueError(f"{name}.size is {size}, image_size is {self.image_size}: they must be the same")
        if self.start_fresh and not self.starts:
            raise ValueError("start_fresh leaves out parts of `start_from`, which names nothing")
        if self.synthetic.bank is not None and self.loss.loop_back > 0.0:
            raise ValueError("loss.loop_back needs skin and light of drawn heads, which synthetic.bank does not hold")
        if self.freeze_encoder and self.detail is None:
            raise ValueError("freeze_encoder leaves nothing to train without a mesh decoder: set `detail`")

    @property
    def starts(self) -> tuple[Path, ...]:
        """The checkpoint folders that weights start from, in the order in which they are read."""
        if self.start_from is None:
            return ()
        return (self.start_from,) if isinstance(self.start_from, Path) else self.start_from
