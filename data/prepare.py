"""Photographs become shards.

    python -m data.prepare PHOTOS --output SHARDS [--workers 4] [--validation_percent 4] [--ray [ADDRESS]]

PHOTOS is a folder of photographs, searched recursively, whose faces are detected (no landmarks then: such samples serve
photometric training), or a folder of annotated tars (`data/readers.py`). SHARDS gets `train/`, `val/` and
`report.json`, which tells what was skipped and why. Started again, it goes on where it was interrupted. With `--ray`,
shards are made on a cluster (`docs/scale.md`).
"""

import json
import sys
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.command_line import ShortParser, spelled
from common.places import Place, place_of, read_part
from common.ray_jobs import RayRequest, add_ray_options, ray_request
from data.plan import PrepareConfig, ShardPlan, make_plan
from data.shard_making import is_finished, make_all, make_all_by_ray, write_json

REPORT_FORMAT = "likeness-shards-1"


def prepare(config: PrepareConfig, ray: RayRequest | None = None) -> dict[str, Any]:
    """Make all shards that are not there yet, and the report.

    Args:
        config: What of, and how.
        ray: The cluster that makes them; None for processes of this machine.

    Returns:
        The report, as written.

    Raises:
        FileNotFoundError: If there are no photographs.
        ValueError: If the annotations cannot be used, or a cluster cannot make all shards.
    """
    started = time.perf_counter()
    plans = make_plan(config)
    folders = {plan.path.parent for plan in plans}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder, {plan.path for plan in plans})
    todo = [plan for plan in plans if not is_finished(plan)]
    columns = (TextColumn("photographs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(len(plan.photographs) for plan in plans))
        progress.advance(task, sum(len(plan.photographs) for plan in plans if plan not in todo))
        for plan in make_all(todo, config.workers) if ray is None else make_all_by_ray(todo, ray):
            progress.advance(task, len(plan.photographs))
    for folder in folders:
        # Of workers that were killed.
        _remove_half_written(folder)
    report = _report(plans, time.perf_counter() - started)
    write_json(config.output / "report.json", report)
    return report


def _remove_leftovers(folder: Place, wanted: set[Place]) -> None:
    """What an interrupted run left half-written, and shards of an earlier plan, which a loader would read."""
    _remove_half_written(folder)
    for receipt in folder.glob(f"{folder.name}-*.json"):
        shard = receipt.with_suffix(".tar")
        if shard not in wanted:
            shard.unlink(missing_ok=True)
            receipt.unlink()


def _remove_half_written(folder: Place) -> None:
    for path in folder.glob(f".{folder.name}-*"):
        path.unlink()


def _report(plans: list[ShardPlan], seconds: float) -> dict[str, Any]:
    receipts = [(plan, json.loads(read_part(plan.receipt_path))) for plan in plans]
    skipped = [entry for _, receipt in receipts for entry in receipt["skipped"]]
    splits = {}
    for split in ("train", "val"):
        own = [receipt for plan, receipt in receipts if plan.split == split]
        splits[split] = {
            "shards": len(own),
            "photographs": sum(receipt["photographs"] for receipt in own),
            "samples": sum(receipt["samples"] for receipt in own),
        }
    options = {name: value for name, value in vars(plans[0].config).items() if name not in ("photos", "output")}
    return {
        "format": REPORT_FORMAT,
        "options": options,
        "seconds": round(seconds, 2),
        "splits": splits,
        "warnings": _warnings(splits, plans[0].config.validation_percent),
        "skipped_by_reason": dict(Counter(entry["reason"] for entry in skipped)),
        "skipped": sorted(skipped, key=lambda entry: entry["name"]),
    }


def _warnings(splits: dict[str, dict[str, int]], percent: float) -> list[str]:
    """What is to be said of the parts: one that is empty keeps `train.py` from training."""
    samples = {split: counts["samples"] for split, counts in splits.items()}
    held_out = splits["val"]["photographs"]
    if samples["val"] == 0 and samples["train"] > 0:
        if percent == 0.0:
            return ["nothing is held out, as asked for; train.py needs other shards as validation.shards"]
        reason = f"none of the {held_out} held-out photographs gave a sample" if held_out else "all are of one group"
        return [f"nothing is held out ({reason}); train.py needs it: add photographs or raise --validation_percent"]
    if samples["train"] == 0 and samples["val"] > 0:
        return [f"all samples are held out (--validation_percent {percent:g}), none is left to train on"]
    photographs = sum(counts["photographs"] for counts in splits.values())
    if samples["val"] > 0 and 100.0 * held_out > 1.5 * percent * photographs:
        return [f"of so few photographs more than {percent:g} % are held out, so that there are any"]
    return []


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and prepare."""
    parser = ShortParser(prog="python -m data.prepare", description=__doc__)
    parser.add_argument("photos", type=str, metavar="PHOTOS", help="folder of photographs or of annotated tars")
    parser.add_argument("--output", type=str, required=True, help="folder of the shards: train/, val/, report.json")
    parser.add_class_arguments(PrepareConfig, None, skip={"photos", "output"})
    add_ray_options(parser, "_")
    options = vars(parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments, "_")))
    try:
        ray = ray_request(options.pop("ray"), options.pop("ray_workers"))
        places = {name: place_of(options.pop(name)) for name in ("photos", "output")}
        report = prepare(PrepareConfig(**places, **options), ray)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"data.prepare: {error}")
    for split, counts in report["splits"].items():
        print(
            f"{split}: {counts['samples']} samples of {counts['photographs']} photographs in {counts['shards']} shards"
        )
    for reason, count in report["skipped_by_reason"].items():
        print(f"skipped, {reason}: {count}")
    for warning in report["warnings"]:
        print(f"data.prepare: {warning}", file=sys.stderr)
    if not any(counts["samples"] for counts in report["splits"].values()):
        sys.exit("data.prepare: no photograph gave a sample; report.json says why")


if __name__ == "__main__":
    main()
