"""Where a run's numbers and pictures go."""

import os
import sys
import time
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import tensor

from training.config import Experiment
from training.photographs import Photographs

_WANDB_HOST = "api.wandb.ai"


class Throughput(Callback):
    """Images per second and broken samples, of all processes together, as often as the losses are logged.

    The clock is the host's: over many steps it waits for the device anyway, and nothing here makes it wait at each.
    """

    def __init__(self, photographs: Photographs, images_per_step: int) -> None:
        """Take what counts broken samples, and how many images all processes take for one optimiser step."""
        self._photographs = photographs
        self._images_per_step = images_per_step
        self._since: tuple[int, float] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log at the end of a step."""
        step, now = trainer.global_step, time.perf_counter()
        if self._since is None:
            # The first step loads and compiles; the clock starts behind it.
            self._since = (step, now)
            return
        steps = step - self._since[0]
        if steps == 0 or step % trainer.log_every_n_steps:  # pyright: ignore[reportAttributeAccessIssue]
            return
        skipped = trainer.strategy.reduce(
            tensor(float(self._photographs.skipped)).to(pl_module.device), reduce_op="sum"
        )
        values = {
            "images_per_second": steps * self._images_per_step / (now - self._since[1]),
            "data/skipped": float(skipped),
        }
        self._since = (step, now)
        for logger in trainer.loggers:
            # Lightning counts the rows of the losses from 0.
            logger.log_metrics(values, step=step - 1)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time of a validation out."""
        self._since = None


class CompilingNote(Callback):
    """Says that the first step compiles the network, and how long that took: on a busy machine nothing else moves."""

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self._started: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it before the step."""
        self._started = time.perf_counter()
        _tell(
            "compiling the backbone (trainer.compile): first step and first validation take a minute or two of a free "
            "core, much longer on a busy one; --trainer.compile false begins at once, and its steps are slower"
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how long it took, once."""
        if self._started is not None:
            _tell(f"compiled; the first step took {time.perf_counter() - self._started:.0f} s")
            self._started = None


@rank_zero_only
def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class LossBar(TQDMProgressBar):
    """The progress bar, with the loss as it was logged last.

    Lightning reads what is logged for its bar at every step, shown or not, and reading waits for the device.
    """

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        if "train/loss" in trainer.logged_metrics:
            shown["loss"] = f"{float(trainer.logged_metrics['train/loss']):.3f}"
        return shown


def build_loggers(experiment: Experiment, settings: dict[str, Any]) -> list[Logger]:
    """CSV always, Weights & Biases where the config asks for it.

    Args:
        experiment: The run.
        settings: The resolved config, which Weights & Biases shows beside the curves.

    Raises:
        ValueError: If Weights & Biases is asked for and not installed.
    """
    # Each row is written at once: what is not yet written is lost with a killed run.
    loggers: list[Logger] = [CSVLogger(experiment.output, name="", version="", flush_logs_every_n_steps=1)]
    if experiment.logging.wandb:
        try:
            run = WandbLogger(
                project=experiment.logging.project,
                name=experiment.output.name,
                id=_run_name(experiment.output),
                save_dir=experiment.output,
                offline=not is_logged_in(),
                config=settings,
            )
        except ModuleNotFoundError as error:
            raise ValueError("logging.wandb needs the package wandb: pip install 'likeness[wandb]'") from error
        loggers.append(run)
    return loggers


def is_logged_in() -> bool:
    """Whether Weights & Biases has an account here, found without asking anybody; WANDB_MODE decides before it."""
    mode = os.environ.get("WANDB_MODE")
    if mode:
        return mode not in ("offline", "disabled", "dryrun")
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc().authenticators(os.environ.get("WANDB_HOST", _WANDB_HOST)) is not None
    except (OSError, NetrcParseError):
        return False


def _run_name(folder: Path) -> str:
    """The run's own name, so that a resumed run adds to its curves."""
    path = folder / "wandb-run.txt"
    if not path.is_file():
        path.write_text(os.urandom(4).hex() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


@rank_zero_only
def keep_log(folder: Path) -> None:
    """Put what an earlier part of this run logged beside the file that Lightning's logger begins anew."""
    log = folder / "metrics.csv"
    if log.is_file():
        log.rename(folder / f"metrics-part{len(list(folder.glob('metrics-part*.csv'))) + 1}.csv")
