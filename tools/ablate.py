"""What each loss is worth: short runs from one start, each with one loss left out or added.

    python -m tools.ablate --base configs/likeness_s_shape.yaml --steps 300 --seeds 2 \
        --without photometric --without symmetry+albedo_prior --with gaze=0.3 --with pyramid_levels=3

`--terms all` leaves out each loss that has a weight in the base config, one after the other. Options that are not in
the list below go to `train.py` (`--start_from FOLDER`, `--train.workers 0`, ...), for every run.

All runs start from the same weights and, seed by seed, see the same photographs in the same order with the same
augmentation: one column of seeds can be compared line by line. Each run's numbers are kept in
`<output>/<run>/result.json`; what is there is not computed again, and a run that was stopped goes on. The table is
also written to `<output>/table.md`.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import train
from common.atomic import atomic_path
from data.loader import build_loader
from evaluation.metrics import same_person_area
from evaluation.photographs import evaluate_photographs, observation_on
from model.checkpoint import load_reconstructor
from model.losses.config import LossConfig
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tools.ablation_table import format_table
from training.config import Experiment
from training.parser import ExperimentParser

WHOLE = "all losses"
"""The line that nothing is changed in."""


@dataclass(frozen=True)
class Variant:
    """A line of the table.

    Attributes:
        name: As printed.
        changes: Fields of `LossConfig` that differ from the base.
    """

    name: str
    changes: dict[str, str]

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return self.name.replace(" ", "-")


def main(arguments: list[str] | None = None) -> None:
    """Train and measure what is missing, print the table.

    Raises:
        ValueError: If a loss is not known or has no weight to leave out, or earlier results do not fit.
    """
    options, passed_on = _options(arguments)
    shared = ["--config", str(options.base), *_run_options(options.steps), *passed_on]
    base = _experiment([*shared, "--output", str(options.output)])
    variants = described(base.loss, options.without, options.changed, every=options.terms == "all")
    rows: dict[str, list[dict[str, float | None]]] = {variant.name: [] for variant in variants}
    # A seed of every line before the next seed: what is there after a while can be compared.
    for seed, variant in itertools.product(range(options.seeds), variants):
        folder = options.output / f"{variant.folder}-seed{seed}"
        seeds = ["--seed", str(seed), "--train.seed", str(seed), "--synthetic.seed", str(1000 + seed)]
        weights = [part for name, value in variant.changes.items() for part in (f"--loss.{name}", value)]
        result = measured([*shared, *seeds, *weights, "--output", str(folder)], folder, options.photographs)
        rows[variant.name].append(result)
        print(f"{folder.name}: {json.dumps(result)}", flush=True)
    table = format_table(rows, WHOLE)
    with atomic_path(options.output / "table.md") as temporary:
        temporary.write_text(f"{table}\n", encoding="utf-8")
    print(f"\n{table}")


def described(base: LossConfig, without: list[str], changed: list[str], *, every: bool) -> list[Variant]:
    """The lines: the base as it is, then each change of it.

    Args:
        base: Losses of the base config.
        without: Losses to leave out; several joined by `+` go together.
        changed: `NAME=VALUE` of fields to set; several joined by `+` go together.
        every: Leave out each loss that has a weight as well.

    Raises:
        ValueError: If a name is not known, a loss to be left out has no weight, or there is nothing to compare.
    """
    weights = base.weights()
    if every:
        without = [*without, *(name for name, weight in weights.items() if weight > 0.0 and name not in without)]
    variants = [Variant(WHOLE, {})]
    for group in without:
        for name in group.split("+"):
            if name not in weights:
                raise ValueError(f"--without {group}: no loss {name!r}; there are {', '.join(weights)}")
            if weights[name] == 0.0:
                raise ValueError(f"--without {group}: {name} has no weight in the base config")
        variants.append(Variant(f"without {group}", dict.fromkeys(group.split("+"), "0.0")))
    fields = [field.name for field in dataclasses.fields(LossConfig)]
    for group in changed:
        pairs = {name: value for name, _, value in (part.partition("=") for part in group.split("+"))}
        for name, value in pairs.items():
            if name not in fields or not value:
                raise ValueError(f"--with {group}: expected NAME=VALUE, NAME one of {', '.join(fields)}")
        variants.append(Variant(f"with {group}", pairs))
    if len(variants) == 1:
        raise ValueError("nothing to compare: give --without, --with or --terms all")
    if len({variant.name for variant in variants}) < len(variants):
        raise ValueError("a change is asked for twice")
    return variants


def measured(arguments: list[str], folder: Path, photographs: int) -> dict[str, float | None]:
    """A run's numbers: from its file, or by training and measuring.

    Args:
        arguments: Of `train.py`.
        folder: The run's.
        photographs: How many held-out ones to measure on; 0 for all.

    Raises:
        ValueError: If the folder holds a run with other settings.
    """
    experiment = _experiment(arguments)
    settings: dict[str, Any] = _settings(arguments) | {"photographs": photographs}
    path = folder / "result.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"settings": settings, "result": None}
    different = sorted(name for name in settings if settings[name] != kept["settings"].get(name))
    if different:
        raise ValueError(
            f"{path}: measured with another {', '.join(different)}; use another --output, or delete this run's folder"
        )
    if kept["result"] is not None:
        return kept["result"]
    _keep(path, kept)
    train.main([*arguments, *(["--resume"] if (folder / "last.ckpt").is_file() else [])])
    kept["result"] = measure(experiment, folder / "release", photographs)
    _keep(path, kept)
    # Many runs: what only a resume needs would fill the disk.
    (folder / "last.ckpt").unlink(missing_ok=True)
    return kept["result"]


def measure(experiment: Experiment, release: Path, photographs: int) -> dict[str, float | None]:
    """The held-out numbers of a checkpoint; None for what cannot be said.

    Args:
        experiment: The run, for its held-out shards.
        release: Checkpoint folder.
        photographs: How many to measure on; 0 for all.

    Raises:
        ValueError: If no photograph shows a face to compare.
    """
    loader = build_loader(dataclasses.replace(experiment.validation, workers=0))
    batches = None if photographs == 0 else -(-photographs // experiment.validation.batch_size)
    observations = (observation_on(batch, torch.device("cpu")) for batch in itertools.islice(loader, batches))
    results = evaluate_photographs(observations, load_reconstructor(release), Renderer(build_rasterizer("cpu")))
    if not results:
        raise ValueError(f"{experiment.validation.shards}: no photograph shows enough of a face to compare")
    psnr_db = np.array([result.psnr_db for result in results])
    # Root mean square of a channel's difference in sRGB: of each photograph, then their mean.
    residual = 10.0 ** (-psnr_db / 20.0)
    known = [result for result in results if result.person >= 0]
    people = np.array([result.person for result in known])
    same_pairs = sum(n * (n - 1) // 2 for n in np.unique(people, return_counts=True)[1].tolist())
    repeated = same_pairs > 0 and len(np.unique(people)) > 1
    identity = np.array([result.identity for result in known], dtype=np.float64)
    return {
        "nme_percent": float(np.mean([result.nme_percent for result in results])),
        "psnr_db": float(psnr_db.mean()),
        "residual": float(residual.mean()),
        "auc": float(same_person_area(identity, people)) if repeated else None,
        # How much the area says: that of a handful of pairs says little.
        "same_pairs": float(same_pairs),
        "photographs": float(len(results)),
    }


def _options(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m tools.ablate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--base", type=Path, required=True, help="config of train.py")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="where runs and table go")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each line")
    parser.add_argument("--without", action="append", default=[], metavar="LOSS[+LOSS...]", help="leave out")
    parser.add_argument(
        "--with", action="append", default=[], dest="changed", metavar="NAME=VALUE[+...]", help="set a field of `loss`"
    )
    parser.add_argument("--terms", choices=("given", "all"), default="given", help="all: leave out each in turn")
    parser.add_argument("--photographs", type=int, default=0, help="held-out ones to measure on; 0 for all")
    options, passed_on = parser.parse_known_args(arguments)
    for name, least in (("steps", 1), ("seeds", 1), ("photographs", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} {getattr(options, name)}: expected at least {least}")
    if not options.base.is_file():
        raise FileNotFoundError(f"{options.base}: no such config")
    return options, passed_on


def _run_options(steps: int) -> list[str]:
    """What a short run needs and a long one does not; options passed on come later and so win."""
    options = {
        "schedule.max_steps": steps,
        # Never: the release is measured instead.
        "schedule.validate_every_steps": steps + 1,
        "schedule.checkpoint_every_steps": min(steps, 100),
        "logging.sheet_every_steps": 0,
        "trainer.accelerator": "cpu",
        # Compiling takes about as long as a short run.
        "trainer.compile": "false",
    }
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _parser() -> ExperimentParser:
    parser = ExperimentParser(prog="train.py")
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Experiment, None)
    return parser


def _experiment(arguments: list[str]) -> Experiment:
    options = vars(_parser().instantiate(_parser().parse_args(arguments)))
    options.pop("config", None)
    return Experiment(**options)


def _settings(arguments: list[str]) -> dict[str, Any]:
    """All that decides the outcome of a run, flat: `loss.gaze`, ...; not where it is kept."""
    parser = _parser()
    namespace = parser.parse_args(arguments)
    namespace.pop("config", None)
    resolved = yaml.safe_load(parser.dump(namespace, skip_unset=False))
    del resolved["output"]
    return _flat(resolved)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _keep(path: Path, kept: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"tools.ablate: {error}")
