"""What a training run is: one dataclass per part, strict, saved beside the checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path

from data.loader import LoaderConfig
from model.encoder.backbone import EncoderConfig
from model.losses.objective import LossConfig

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with warm-up and cosine decay.

    Attributes:
        learning_rate: Peak, for the backbone.
        head_learning_rate_factor: Factor for the linear layers, which start from zero.
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
class ScheduleConfig:
    """How long, and what is kept on the way.

    Attributes:
        max_steps: Optimiser steps of the whole run; the cosine ends there.
        validate_every_steps: Validation and a resumable checkpoint.
        log_every_steps: CSV rows.
        average_decay: Exponential moving average of the weights.
        precision: Lightning's precision, `32-true` or `bf16-mixed`.
        accelerator: Lightning's accelerator.
        devices: How many of them.
        compile: Compile the backbone with torch.compile (1.4 times as fast on a CPU).
    """

    max_steps: int = 8000
    validate_every_steps: int = 500
    log_every_steps: int = 20
    average_decay: float = 0.999
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    compile: bool = True


@dataclass(frozen=True)
class Experiment:
    """A training run.

    Attributes:
        output: Folder of the run: logs, resumable checkpoints, `release/`.
        train: Training shards.
        validation: Held-out shards.
        head: Morphable-model file.
        image_size: Side of the crops in px.
        encoder: Backbone.
        start_from: Checkpoint folder whose weights training starts from, or none.
        loss: Weights of the losses.
        optimizer: Optimiser.
        schedule: Length and bookkeeping.
        seed: Of everything random.
    """

    output: Path
    train: LoaderConfig
    validation: LoaderConfig
    head: Path = REPOSITORY / "checkpoints" / "likeness-head" / "head.safetensors"
    image_size: int = 112
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    start_from: Path | None = None
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a loader that cuts crops of another size than the model takes.

        Raises:
            ValueError: Naming both options.
        """
        for name in ("train", "validation"):
            size = getattr(self, name).size
            if size != self.image_size:
                raise ValueError(f"{name}.size is {size}, image_size is {self.image_size}: they must be the same")
