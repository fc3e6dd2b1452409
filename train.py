"""Train a reconstructor.

    python train.py --config configs/resnet50_224.yaml [--trainer.devices 8 --trainer.num_nodes 4 ...] [--resume]

Every field of `training.config.Experiment` is an option; an unknown one is an error. The run's folder holds the
resolved config, `metrics.csv` (`metrics-part<n>.csv` before a resume), `sheets/`, resumable checkpoints and, at the
end, `release/`: a checkpoint for `infer.py`.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from common.paths import REPOSITORY
from data.shards import list_shards, refuse_nothing_held_out
from training.config import Experiment
from training.parser import ExperimentParser

if TYPE_CHECKING:
    from model.reconstructor import Reconstructor


def start(arguments: list[str] | None = None, program: str = "train.py") -> int:
    """Read the command line and train; returns the exit code, after a line about what went wrong.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    try:
        main(arguments, program)
    except (FileNotFoundError, FileExistsError, ValueError, FloatingPointError) as error:
        print(f"{program}: {_short(error)}", file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None, program: str = "train.py") -> None:
    """Read the command line and train."""
    experiment, resolved, resume = read_experiment(arguments, program)
    run(experiment, resume=resume, resolved_config=resolved)


def read_experiment(arguments: list[str] | None = None, program: str = "train.py") -> tuple[Experiment, str, bool]:
    """Read a command line, strictly.

    Returns:
        The run, its whole config as YAML, and whether it goes on from its last checkpoint.
    """
    parser = ExperimentParser(description=__doc__, prog=program)
    parser.add_argument("--config", action="config", help="YAML with differences from the defaults")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_class_arguments(Experiment, None)
    namespace = parser.parse_args(arguments)
    resume, resolved = namespace.pop("resume"), parser.dump(namespace, skip_unset=False)
    namespace.pop("config", None)
    return Experiment(**vars(parser.instantiate(namespace))), resolved, resume


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
    _refuse_missing(experiment)
    # Late, since they load torch: what is mistyped is refused before.
    import lightning

    from model.checkpoint import save_checkpoint
    from training.ema import WeightAverage
    from training.module import TrainingModule
    from training.photographs import Photographs
    from training.resume import prepare_folder
    from training.trainer import build_trainer

    photographs = Photographs(experiment.train, experiment.validation)
    prepare_folder(experiment.output, resolved_config)
    # What `prepare_folder` has taken care of, and what only Lightning's authors can change.
    for noise in (".*Previous log files in this directory", ".*isinstance\\(treespec, LeafSpec\\)"):
        warnings.filterwarnings("ignore", message=noise)
    lightning.seed_everything(experiment.seed, workers=True)
    module = TrainingModule(experiment, build_reconstructor(experiment))
    average = WeightAverage(experiment.schedule.average_decay)
    settings = yaml.safe_load(resolved_config)
    trainer = build_trainer(experiment, average, photographs, settings)
    trainer.fit(
        module,
        datamodule=photographs,
        ckpt_path=str(last) if resume else None,
        # Our own file, written by this run: it holds the optimiser and the callbacks' plain states.
        weights_only=False,
    )
    release = experiment.output / "release"
    if trainer.is_global_zero:
        average.copy_to(module)
        # Not where this machine keeps the repository: the release is given away.
        config = yaml.safe_load(resolved_config.replace(f"{REPOSITORY}{os.sep}", ""))
        provenance = {"config": config, "steps": trainer.global_step}
        save_checkpoint(module.reconstructor, experiment.head, release, provenance, hierarchy_path=experiment.hierarchy)
    return release


def _refuse_missing(experiment: Experiment) -> None:
    """Refuse paths of files that are not there, as their readers would after the seconds that loading torch takes.

    Raises:
        FileNotFoundError: Naming the setting.
    """
    list_shards(experiment.train.shards)
    refuse_nothing_held_out(experiment.validation.shards, experiment.train.shards)
    for folder in experiment.starts:
        if not (folder / "weights.safetensors").is_file():
            raise FileNotFoundError(f"start_from: {folder / 'weights.safetensors'}: no such file")
    needed = {"head": experiment.head}
    if experiment.detail is not None or (experiment.synthetic.batch_size and experiment.synthetic.relief):
        needed["hierarchy"] = experiment.hierarchy
    if experiment.encoder.pretrained not in ("timm", "none"):
        needed["encoder.pretrained"] = Path(experiment.encoder.pretrained)
    for name, path in needed.items():
        if not path.is_file():
            raise FileNotFoundError(f"{name}: {path}: no such file")
    bank = experiment.synthetic.bank
    if bank is not None and experiment.synthetic.batch_size and not bank.is_dir():
        raise FileNotFoundError(f"synthetic.bank: {bank}: no such folder; make it with python -m tools.draw_heads")


def build_reconstructor(experiment: Experiment) -> "Reconstructor":
    """An untrained model, or one that starts from the weights that the experiment names."""
    # Late, since they load torch.
    import torch

    from model.face.assets import load_head
    from model.face.hierarchy import load_hierarchy
    from model.reconstructor import Reconstructor
    from training.start import load_start

    detail = experiment.detail
    hierarchy = None if detail is None else load_hierarchy(experiment.hierarchy)
    head = load_head(experiment.head)
    reconstructor = Reconstructor(experiment.encoder, experiment.image_size, head, detail, hierarchy)
    load_start(reconstructor, experiment)
    reconstructor.backbone.network.to(memory_format=torch.channels_last)
    if experiment.trainer.compile:
        # In place, so that the names of the weights stay those of an uncompiled model.
        reconstructor.backbone.compile()
    return reconstructor


def _short(error: Exception) -> str:
    """The message of an error, also of one that a loader's process had: that comes with the whole trace before it."""
    message = str(error)
    if "Original Traceback" not in message:
        return message
    return message.rsplit(f"{type(error).__name__}: ", 1)[-1].strip()


if __name__ == "__main__":
    sys.exit(start())
