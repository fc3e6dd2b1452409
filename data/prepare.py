"""Photographs become shards.

    python -m data.prepare PHOTOS --output SHARDS [--workers 4] [--validation_percent 4]

PHOTOS is a folder of photographs, searched recursively, whose faces are detected (no landmarks then: such samples serve
photometric training), or a folder of annotated tars (`data/readers.py`). SHARDS gets `train/`, `val/` and
`report.json`, which tells what was skipped and why. Started again, it goes on where it was interrupted.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.atomic import atomic_path
from common.command_line import ShortParser, spelled
from data.image_io import UnreadableImageError, decode_photograph
from data.patches import detected_samples, labelled_sample
from data.plan import PrepareConfig, ShardPlan, make_plan
from data.readers import SourcePhotograph
from data.shards import encode_sample, write_shard

REPORT_FORMAT = "likeness-shards-1"

Skipped = dict[str, str]
"""One photograph that gave no sample: `name`, `reason`, `message`."""


def prepare(config: PrepareConfig) -> dict[str, Any]:
    """Make all shards that are not there yet, and the report.

    Returns:
        The report, as written.

    Raises:
        FileNotFoundError: If there are no photographs.
        ValueError: If the annotations cannot be used.
    """
    started = time.perf_counter()
    plans = make_plan(config)
    for folder in {plan.path.parent for plan in plans}:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder, {plan.path for plan in plans})
    todo = [plan for plan in plans if not is_finished(plan)]
    columns = (TextColumn("photographs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(len(plan.photographs) for plan in plans))
        progress.advance(task, sum(len(plan.photographs) for plan in plans if plan not in todo))
        for plan in _make_all(todo, config.workers):
            progress.advance(task, len(plan.photographs))
    report = _report(plans, time.perf_counter() - started)
    _write_json(config.output / "report.json", report)
    return report


def make_shard(plan: ShardPlan) -> None:
    """Write one shard and its receipt."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    skipped: list[Skipped] = []
    for number, photograph in enumerate(plan.photographs):
        if photograph.doubt:
            skipped.append({"name": photograph.name, "reason": "doubtful", "message": photograph.doubt})
            continue
        try:
            faces = _encode(photograph, plan.config)
        except UnreadableImageError as error:
            skipped.append({"name": photograph.name, "reason": error.kind, "message": str(error)})
            continue
        except (OSError, ValueError) as error:
            skipped.append({"name": photograph.name, "reason": "unreadable", "message": str(error)})
            continue
        if not faces:
            skipped.append({"name": photograph.name, "reason": "no_face", "message": "no face was found"})
        samples.extend((f"{plan.path.stem}-{number:06d}-{face}", members) for face, members in enumerate(faces))
    write_shard(plan.path, samples)
    receipt = {
        "fingerprint": plan.fingerprint,
        "photographs": len(plan.photographs),
        "samples": len(samples),
        "skipped": skipped,
    }
    _write_json(plan.receipt_path, receipt)


def is_finished(plan: ShardPlan) -> bool:
    """Whether a shard was made by the same plan, wholly."""
    try:
        receipt = json.loads(plan.receipt_path.read_text(encoding="utf-8"))
        return plan.path.is_file() and receipt["fingerprint"] == plan.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _encode(photograph: SourcePhotograph, config: PrepareConfig) -> list[dict[str, bytes]]:
    """The members of the samples of a photograph; none where no face is found."""
    if photograph.labels is not None:
        sample, jpeg = labelled_sample(photograph, photograph.labels, config)
        return [encode_sample(sample, jpeg)]
    image_srgb = decode_photograph(photograph.read_bytes(), photograph.name)
    found = sorted(_detector().detect(image_srgb), key=lambda detection: -detection.area_px)
    kept = found[:1] if config.largest_face else found
    return [encode_sample(sample) for sample in detected_samples(photograph, image_srgb, kept, config)]


_SURE_SCORE = 0.75
"""Least score of a face to learn from: what is no face costs more there than a face that is missed."""


@cache
def _detector() -> Any:
    """The detector of this process: photographs with labels do not need it, and it takes seconds to load."""
    import torch

    from data.detector import FaceDetector

    torch.set_num_threads(1)
    return FaceDetector(min_score=_SURE_SCORE)


def _make_all(plans: list[ShardPlan], workers: int) -> Iterator[ShardPlan]:
    """Make shards, in several processes; yields each when it is finished."""
    if workers == 1:
        for plan in plans:
            make_shard(plan)
            yield plan
        return
    # Forking a process with threads (OpenCV's, the progress bar's) can leave locks that nobody opens.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker) as pool:
        waiting = iter(plans)
        running: dict[Future[None], ShardPlan] = {}
        try:
            while True:
                # Few at a time: a plan carries its labels, and all of them at once would fill the pipes.
                for plan in waiting:
                    running[pool.submit(make_shard, plan)] = plan
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    plan = running.pop(future)
                    future.result()
                    yield plan
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Each process keeps to one core, since there are several."""
    cv2.setNumThreads(1)


def _remove_leftovers(folder: Path, wanted: set[Path]) -> None:
    """What an interrupted run left half-written, and shards of an earlier plan, which a loader would read."""
    for path in folder.glob(f".{folder.name}-*"):
        path.unlink()
    for receipt in folder.glob(f"{folder.name}-*.json"):
        shard = receipt.with_suffix(".tar")
        if shard not in wanted:
            shard.unlink(missing_ok=True)
            receipt.unlink()


def _report(plans: list[ShardPlan], seconds: float) -> dict[str, Any]:
    receipts = [(plan, json.loads(plan.receipt_path.read_text(encoding="utf-8"))) for plan in plans]
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


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        # Names of files may be any bytes: escaped, they are still text.
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and prepare."""
    parser = ShortParser(prog="python -m data.prepare", description=__doc__)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of photographs or of annotated tars")
    parser.add_class_arguments(PrepareConfig, None, skip={"photos"})
    namespace = parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments, "_"))
    try:
        report = prepare(PrepareConfig(**vars(namespace)))
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
