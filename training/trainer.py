"""The Lightning trainer of an experiment."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, Strategy

from training.config import Experiment, TrainerConfig
from training.ema import WeightAverage
from training.logs import CompilingNote, LossBar, Throughput, build_loggers
from training.photographs import Photographs
from training.resume import AtomicCheckpointIO, RunState
from training.sheet import Sheets


def build_trainer(
    experiment: Experiment, average: WeightAverage, photographs: Photographs, settings: dict[str, Any]
) -> Trainer:
    """Put the trainer together.

    Args:
        experiment: The run.
        average: Its moving average.
        photographs: Its loaders.
        settings: The resolved config, for the logs.
    """
    schedule, config = experiment.schedule, experiment.trainer
    processes = config.devices * config.num_nodes
    images_per_step = experiment.train.batch_size * config.accumulate_batches * processes
    return Trainer(
        max_steps=schedule.max_steps,
        # Lightning counts batches here, and steps everywhere else.
        val_check_interval=schedule.validate_every_steps * config.accumulate_batches,
        check_val_every_n_epoch=None,
        log_every_n_steps=schedule.log_every_steps,
        gradient_clip_val=experiment.optimizer.gradient_clip,
        accumulate_grad_batches=config.accumulate_batches,
        precision=config.precision,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config),
        sync_batchnorm=config.sync_batchnorm,
        plugins=[AtomicCheckpointIO()],
        logger=build_loggers(experiment, settings),
        callbacks=[
            average,
            RunState(photographs),
            Throughput(photographs, images_per_step),
            *([CompilingNote()] if config.compile else []),
            Sheets(experiment.validation, experiment.output / "sheets", experiment.logging.sheet_every_steps),
            LearningRateMonitor("step"),
            LossBar(refresh_rate=schedule.log_every_steps * config.accumulate_batches),
            ModelCheckpoint(
                dirpath=experiment.output,
                every_n_train_steps=schedule.checkpoint_every_steps or schedule.validate_every_steps,
                save_last=True,
                save_top_k=0,
                enable_version_counter=False,
            ),
        ],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def _strategy(config: TrainerConfig) -> Strategy | str:
    if config.devices * config.num_nodes == 1:
        return "auto"
    return DDPStrategy(
        # Losses of weight 0 are not computed, and what only they would reach has no gradient.
        find_unused_parameters=True,
        # Batch norm's statistics are each process's own (or `sync_batchnorm`'s); the head model's buffers are fixed.
        # Sending them before each forward would also make processes with fewer held-out batches hang the others.
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )
