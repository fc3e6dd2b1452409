"""Train a reconstructor.

    python train.py --config configs/likeness_s.yaml [--schedule.max_steps 100 ...] [--resume]

Every field of `training.config.Experiment` is an option; an unknown one is an error. The run's folder holds the
resolved config, `metrics.csv` (`metrics-part<n>.csv` before a resume), resumable checkpoints and, at the end,
`release/`: a checkpoint for `infer.py`.
"""

import os
import sys
from pathlib import Path

import lightning
import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file

from data.loader import build_loader
from model.checkpoint import save_checkpoint
from model.face.assets import load_head
from model.reconstructor import Reconstructor
from training.config import REPOSITORY, Experiment
from training.ema import WeightAverage
from training.module import TrainingModule


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and train."""
    parser = ArgumentParser(description=__doc__, prog="train.py")
    parser.add_argument("--config", action="config", help="YAML with differences from the defaults")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_class_arguments(Experiment, None)
    namespace = parser.parse_args(arguments)
    resume, resolved = namespace.pop("resume"), parser.dump(namespace, skip_unset=False)
    namespace.pop("config", None)
    run(_experiment(parser, namespace), resume=resume, resolved_config=resolved)


def _experiment(parser: ArgumentParser, namespace: Namespace) -> Experiment:
    return Experiment(**vars(parser.instantiate(namespace)))


def run(experiment: Experiment, *, resume: bool, resolved_config: str) -> Path:
    """Train as described and write the release.

    Args:
        experiment: The run.
        resume: Go on from `<output>/last.ckpt`; an error if there is none.
        resolved_config: The whole config as YAML, kept beside the checkpoints.

    Returns:
        The release folder.

    Raises:
        FileExistsError: If the output folder holds another run and `resume` is off.
        FileNotFoundError: If there is nothing to resume.
    """
    last = experiment.output / "last.ckpt"
    if resume and not last.is_file():
        raise FileNotFoundError(f"{last}: nothing to resume; start without --resume")
    if not resume and last.is_file():
        raise FileExistsError(f"{last}: holds a run already; use --resume or another --output")
    experiment.output.mkdir(parents=True, exist_ok=True)
    _keep_log(experiment.output)
    (experiment.output / "config.yaml").write_text(resolved_config, encoding="utf-8")
    lightning.seed_everything(experiment.seed, workers=True)
    module = TrainingModule(experiment, _reconstructor(experiment))
    average = WeightAverage(experiment.schedule.average_decay)
    trainer = _trainer(experiment, average)
    trainer.fit(
        module,
        build_loader(experiment.train),
        build_loader(experiment.validation),
        ckpt_path=str(last) if resume else None,
        # Our own file, written by this run: it holds the optimiser and the callbacks' plain states.
        weights_only=False,
    )
    average.copy_to(module)
    release = experiment.output / "release"
    # Not where this machine keeps the repository: the release is given away.
    config = yaml.safe_load(resolved_config.replace(f"{REPOSITORY}{os.sep}", ""))
    provenance = {"config": config, "steps": trainer.global_step}
    save_checkpoint(module.reconstructor, experiment.head, release, provenance)
    return release


def _keep_log(folder: Path) -> None:
    # Lightning's logger starts metrics.csv anew; what a resumed run logged before is kept beside it.
    log = folder / "metrics.csv"
    if log.is_file():
        log.rename(folder / f"metrics-part{len(list(folder.glob('metrics-part*.csv'))) + 1}.csv")


def _reconstructor(experiment: Experiment) -> Reconstructor:
    reconstructor = Reconstructor(experiment.encoder, experiment.image_size, load_head(experiment.head))
    if experiment.start_from is not None:
        weights = load_file(experiment.start_from / "weights.safetensors")
        state = reconstructor.state_dict()
        # What has another size in this head (its albedo components, say) starts afresh.
        fitting = {n: w.float() for n, w in weights.items() if n in state and w.shape == state[n].shape}
        reconstructor.load_state_dict({**state, **fitting})
    reconstructor.backbone.network.to(memory_format=torch.channels_last)
    if experiment.schedule.compile:
        # In place, so that the names of the weights stay those of an uncompiled model.
        reconstructor.backbone.network.compile()
    return reconstructor


def _trainer(experiment: Experiment, average: WeightAverage) -> Trainer:
    schedule = experiment.schedule
    return Trainer(
        max_steps=schedule.max_steps,
        val_check_interval=schedule.validate_every_steps,
        check_val_every_n_epoch=None,
        log_every_n_steps=schedule.log_every_steps,
        gradient_clip_val=experiment.optimizer.gradient_clip,
        precision=schedule.precision,  # pyright: ignore[reportArgumentType] - checked by Lightning
        accelerator=schedule.accelerator,
        devices=schedule.devices,
        logger=CSVLogger(experiment.output, name="", version=""),
        callbacks=[
            average,
            LearningRateMonitor("step"),
            ModelCheckpoint(
                dirpath=experiment.output,
                every_n_train_steps=schedule.validate_every_steps,
                save_last=True,
                save_top_k=0,
            ),
        ],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


if __name__ == "__main__":
    try:
        main()
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        sys.exit(f"train.py: {error}")
